"""Rules and people for the tests of assignment."""

from typing import Any

from assignments.models import Assignment, AssignmentRule, CatchAllEntry, Decision, Pool
from assignments.services.people import save_pool
from assignments.services.rules import RuleSettings, save_rule
from crm.identity.models import User
from tests.factories import acting, inside, make_user


def make_rule(by: User, name: str = "Everybody", **settings: Any) -> AssignmentRule:
    """A rule at the end of the others, which heeds no working hours unless it says so."""
    with acting(by) as actor:
        return save_rule(wanted=RuleSettings(**{"name": name, "heed_shifts": False, **settings}), by=actor)


def make_reps(tenant: Any, number: int) -> list[User]:
    return [make_user(tenant, role="sales_rep") for _ in range(number)]


def make_pool(by: User, *people: User, name: str = "Pool") -> Pool:
    with acting(by) as actor:
        return save_pool(name=name, weights={user.pk: 1 for user in people}, by=actor)


def owners_of(tenant: Any) -> dict[int, int | None]:
    with inside(tenant.pk):
        rows = Assignment.objects.filter(until=None).order_by("lead_id")
        return dict(rows.values_list("lead_id", "assigned_user_id"))


def waiting_in(tenant: Any) -> list[int]:
    with inside(tenant.pk):
        return list(CatchAllEntry.objects.order_by("lead_id").values_list("lead_id", flat=True))


def decision_of(lead: Any) -> Decision:
    with inside(lead.tenant_id):
        return Decision.objects.get(pk=Assignment.objects.get(lead=lead, until=None).decision_id)
