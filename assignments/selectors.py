"""Reads of who has what: histories, workload, the catch-all queue, the ledger of fairness."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.utils import timezone

from assignments.models import Assignment, AssignmentRule, Capacity, CatchAllEntry, Leave, RuleVersion
from assignments.permissions import ASSIGN, CHANGE, SEE_ALL, VIEW
from crm.actors import Actor
from crm.identity.models import RoleGrant, User
from crm.identity.roles import effective_capabilities
from crm.listing import Listing, Sort
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead, LeadCount
from leads.selectors import leads_visible_to, open_status_ids, vocabulary

NEWEST = Sort(name="at", column="at", label="Assigned")


# --- histories ---


def history_of_lead(lead: Lead) -> list[Assignment]:
    """All owners a lead has had, the present one first."""
    return list(Assignment.objects.filter(lead=lead).select_related("assigned_user", "rule", "decision").order_by("-id"))


def current_assignment(lead: Lead) -> Assignment | None:
    return Assignment.objects.filter(lead=lead, until=None).select_related("assigned_user", "rule", "decision").first()


def people_named(ids: Sequence[int | None]) -> dict[int, User]:
    """Those who gave leads: the rows keep their numbers alone."""
    return {user.pk: user for user in User.objects.filter(pk__in={pk for pk in ids if pk is not None})}


def current_assignments(*, actor: Actor, user_id: int | None = None, status_ids: Sequence[int] | None = None) -> Listing:
    """The present assignments of live leads in the actor's sight, the latest first."""
    rows = Assignment.objects.filter(until=None)
    rows = rows.filter(assigned_user_id=user_id) if user_id is not None else rows.filter(assigned_user__isnull=False)
    leads: QuerySet[Lead] = Lead.objects.live() if actor.can(SEE_ALL) and actor.can(VIEW) else leads_visible_to(actor)
    if status_ids is not None:
        leads = leads.filter(status_id__in=status_ids)
    return Listing(branches=[rows.filter(Exists(leads.filter(pk=OuterRef("lead_id"))))], sort=NEWEST)


def count_current(*, listing: Listing, actor: Actor, user_id: int | None = None, status_ids: Sequence[int] | None = None) -> int:
    """How many there are: for who sees all leads, from the ledger that counts them by owner and status."""
    if not (actor.can(SEE_ALL) and actor.can(VIEW)) and not (user_id is not None and user_id == actor.user_id):
        return listing.count()
    counted = LeadCount.objects.filter(owner_id=user_id) if user_id is not None else LeadCount.objects.filter(owner_id__isnull=False)
    if status_ids is not None:
        counted = counted.filter(status_id__in=status_ids)
    return counted.aggregate(n=Sum("leads"))["n"] or 0


def assignments_in_order(ids: Sequence[int]) -> list[Assignment]:
    rows = Assignment.objects.filter(pk__in=ids).select_related("assigned_user", "lead__status", "rule").defer("lead__search")
    found = {row.pk: row for row in rows}
    return [found[pk] for pk in ids if pk in found]


# --- people ---


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may own leads, and what is known of how many."""

    user: User
    may_give: bool
    capacity: Capacity | None

    @property
    def takes_leads(self) -> bool:
        """Whether they take part where nobody names them: as said, or by their role."""
        if self.capacity is not None and self.capacity.takes_leads is not None:
            return self.capacity.takes_leads
        return not self.may_give


def people_with_leads() -> list[Person]:
    """The active people who may work leads, by name: four queries, however many they are."""
    capacities = {item.user_id: item for item in Capacity.objects.all()}
    return [
        Person(user=user, may_give=ASSIGN in capabilities, capacity=capacities.get(user.pk))
        for user, capabilities in _active_people()
        if CHANGE in capabilities
    ]


@dataclass(frozen=True, kw_only=True)
class Left:
    """Somebody who has leads, but may work none: deactivated, or in a role that works none."""

    user: User
    load: "Load"


def people_left(found: "Mapping[int | None, Load]", working: Collection[int]) -> list[Left]:
    """Of those with leads, whoever is not among the people who work some."""
    ids = [pk for pk, load in found.items() if pk is not None and pk not in working and load.assigned]
    users = User.objects.filter(pk__in=ids).order_by("first_name", "last_name", "id") if ids else []
    return [Left(user=user, load=found[user.pk]) for user in users]


def people_who_can(capability: str) -> list[int]:
    """The ids of active people who hold a capability."""
    return [user.pk for user, capabilities in _active_people() if capability in capabilities]


def _active_people() -> list[tuple[User, frozenset[str]]]:
    granted: dict[int, frozenset[str]] = {}
    for user_id, code, own in RoleGrant.objects.values_list("user_id", "role__code", "role__capabilities"):
        granted[user_id] = granted.get(user_id, frozenset()) | effective_capabilities(code, own)
    users = User.objects.filter(is_active=True).select_related("role").order_by("first_name", "last_name", "id")
    return [(user, effective_capabilities(user.role.code, user.role.capabilities) | granted.get(user.pk, frozenset())) for user in users]


# --- workload ---


@dataclass(kw_only=True)
class Load:
    """How many live leads somebody has: active are those in open statuses."""

    active: int = 0
    closed: int = 0

    @property
    def assigned(self) -> int:
        return self.active + self.closed


def loads() -> dict[int | None, Load]:
    """By owner, None being nobody: exact, from the ledger."""
    still_open = set(open_status_ids())
    found: dict[int | None, Load] = {}
    counted = LeadCount.objects.values_list("owner_id", "status_id").annotate(n=Sum("leads")).order_by()
    for owner_id, status_id, number in counted:
        load = found.setdefault(owner_id, Load())
        if status_id in still_open:
            load.active += number
        else:
            load.closed += number
    return found


def given_since(start: datetime) -> dict[int, int]:
    """How many leads each person was given since a moment, by whatever door."""
    rows = Assignment.objects.filter(at__gte=start, assigned_user__isnull=False)
    return dict(rows.values_list("assigned_user_id").annotate(n=Count("pk")).order_by())


def start_of_day(at: datetime | None = None) -> datetime:
    """Midnight in the tenant's zone, which requests and work are in."""
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def on_leave(day: Any) -> dict[int, Leave]:
    """Who is on leave on a day."""
    return {leave.user_id: leave for leave in Leave.objects.filter(first_day__lte=day, last_day__gte=day)}


# --- rules and what they did ---


def rules_in_order() -> list[AssignmentRule]:
    rules = AssignmentRule.objects.filter(deleted_at=None).select_related("user", "team", "pool", "fallback_user")
    return list(rules.order_by("position", "id"))


def find_rule(rule_id: int) -> AssignmentRule | None:
    return AssignmentRule.objects.filter(pk=rule_id, deleted_at=None).select_related("user", "team", "pool").first()


def current_version() -> int:
    """The number of the rules as they stand; 0 before there were any."""
    return RuleVersion.objects.order_by("-number").values_list("number", flat=True).first() or 0


_FAIRNESS = """
SELECT rule_id, assigned_user_id, count(*), count(*) FILTER (WHERE at >= %(today)s)
FROM assignments_assignment
WHERE tenant_id = %(tenant)s AND at >= %(since)s AND rule_id IS NOT NULL AND assigned_user_id IS NOT NULL
GROUP BY rule_id, assigned_user_id
"""


def given_by_rules(*, since: datetime, today: datetime) -> list[tuple[int, int, int, int]]:
    """Who got how many by which rule since a moment, and of these today: rule, person, all, today."""
    with connection.cursor() as cursor:
        cursor.execute(_FAIRNESS, {"tenant": current_tenant_id(), "since": since, "today": today})
        return list(cursor.fetchall())


_BY_DAY = """
SELECT rule_id, assigned_user_id, (at AT TIME ZONE %(zone)s)::date, count(*)
FROM assignments_assignment
WHERE tenant_id = %(tenant)s AND at >= %(since)s AND rule_id = %(rule)s AND assigned_user_id IS NOT NULL
GROUP BY 1, 2, 3
"""


def given_by_day(*, rule_id: int, since: datetime) -> list[tuple[int, int, Any, int]]:
    """The same of one rule day by day in the tenant's zone."""
    with connection.cursor() as cursor:
        zone = timezone.get_current_timezone_name()
        cursor.execute(_BY_DAY, {"tenant": current_tenant_id(), "since": since, "rule": rule_id, "zone": zone})
        return list(cursor.fetchall())


# --- nobody's leads ---


def unowned(*, statuses: Sequence[int] | None = None) -> QuerySet[Lead]:
    """Live leads in open statuses that nobody has."""
    return Lead.objects.live().filter(owner_id=None, status_id__in=open_status_ids() if statuses is None else statuses)


def count_unowned() -> int:
    """How many there are, from the ledger."""
    return LeadCount.objects.filter(owner_id=None, status_id__in=open_status_ids()).aggregate(n=Sum("leads"))["n"] or 0


def count_waiting() -> int:
    """How many live open leads the rules could place nowhere; beyond a hundred thousand it stops counting."""
    waiting = CatchAllEntry.objects.filter(lead__deleted_at=None, lead__owner=None, lead__status_id__in=open_status_ids())
    return waiting[:100_000].count()


def waiting_entries(lead_ids: Sequence[int]) -> dict[int, CatchAllEntry]:
    """What the rules said of these leads when they placed them nowhere."""
    rows = CatchAllEntry.objects.filter(lead_id__in=lead_ids).select_related("decision__rule")
    return {row.lead_id: row for row in rows}


def taken_away(lead_ids: Sequence[int]) -> dict[int, Assignment]:
    """Of these unowned leads, those that somebody gave back or was relieved of."""
    rows = Assignment.objects.filter(lead_id__in=lead_ids, until=None, assigned_user=None)
    return {row.lead_id: row for row in rows}


def status_ids_of(words: str) -> list[int]:
    """The statuses that a comma-separated list names, by code, label, number or document 0's word. Raises ValueError."""
    found: list[int] = []
    for word in (part.strip() for part in words.split(",") if part.strip()):
        ids = vocabulary().coarse_ids(word)
        if not ids:
            raise ValueError(f"Unknown status: {word[:40]}.")
        found += ids
    return found
