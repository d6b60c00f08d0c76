"""Pools, rules, limits and a leave for the demo."""

from datetime import datetime, timedelta

from assignments.services.people import add_leave, save_pool, set_capacity
from assignments.services.rules import RuleSettings, save_rule
from crm.actors import Actor
from crm.identity.models import User


def make_assignment_rules(*, now: datetime, by: Actor) -> None:
    """Three rules over a pool of the reps, one of whom is away soon and one of whom takes less."""
    reps = list(User.objects.filter(is_active=True, role__code="sales_rep").order_by("id"))
    if not reps:
        return
    pool = save_pool(
        name="Inbound",
        description="Takes what comes in",
        weights={user.pk: 2 if place == 0 else 1 for place, user in enumerate(reps)},
        by=by,
    )
    rules = (
        RuleSettings(name="Known companies", method="company_owner", heed_shifts=False),
        RuleSettings(
            name="Urgent leads", conditions={"field": "priority", "op": "is", "value": "critical"}, method="least_loaded", pool_id=pool.pk
        ),
        RuleSettings(name="Everything else", method="weighted", pool_id=pool.pk, per_day=40),
    )
    for wanted in rules:
        save_rule(wanted=wanted, by=by)
    set_capacity(user_id=reps[-1].pk, takes_leads=None, per_day=10, in_total=400, by=by)
    first = (now + timedelta(days=7)).date()
    add_leave(user_id=reps[0].pk, first_day=first, last_day=first + timedelta(days=4), note="Holiday", by=by)
