"""Reads of activities. Who sees a lead sees what was done with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum

from activities.enums import STEPS, TO_DO, ActivityPriority, ActivityStatus
from activities.models import Activity, OwnerCount, PriorityCount
from activities.permissions import VIEW
from crm.actors import Actor
from crm.tenancy.scope import current_scope
from leads.models import Lead, LeadStatus
from leads.permissions import SEE_ALL
from leads.permissions import VIEW as VIEW_LEADS
from leads.selectors import branches_visible_to, leads_visible_to, open_status_ids, shared_branches

MOST_OPEN = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Who has no owner, and who was nobody's, in the ledger by owner.
NOBODY = 0


def activities_visible_to(actor: Actor) -> QuerySet[Activity]:
    """The activities of the live leads in the actor's sight."""
    if not actor.can(VIEW) or not actor.can(VIEW_LEADS):
        return Activity.objects.none()
    return Activity.objects.filter(Exists(leads_visible_to(actor).filter(pk=OuterRef("lead_id"))))


def activities_of(lead: Lead) -> QuerySet[Activity]:
    """A lead's own, newest first. The caller has found the lead in the actor's sight."""
    return Activity.objects.filter(lead=lead).select_related("user").order_by("-occurred_at", "-pk")


def open_activities(lead: Lead, *, most: int = MOST_OPEN) -> list[Activity]:
    """What is still to be done with a lead, the earliest first, then what has no date."""
    rows = Activity.objects.filter(lead=lead, status=ActivityStatus.PENDING, activity_type__in=TO_DO).select_related("user")
    return list(rows.order_by("due_at", "pk")[:most])


def next_step(rows: Sequence[Activity]) -> Activity | None:
    """Of what is open, the activity that the lead's date for following up stands for: its next step, else what is due first."""
    due = [item for item in rows if item.due_at is not None]
    return next((item for item in due if item.activity_type in STEPS), due[0] if due else None)


def due_visible_to(actor: Actor) -> QuerySet[Activity]:
    """What is still to be done by a certain time on open leads in the actor's sight. Nobody follows up what is won or lost."""
    rows = activities_visible_to(actor).filter(status=ActivityStatus.PENDING, due_at__isnull=False)
    return rows.filter(lead__status_id__in=open_status_ids())


def with_lead_names(rows: QuerySet[Activity]) -> QuerySet[Activity]:
    """With what an answer tells of the lead beside the activity."""
    told = ("lead__email", "lead__first_name", "lead__last_name", "lead__company", "lead__phone")
    own = [field.name for field in Activity._meta.concrete_fields]
    return rows.select_related("lead").only(*own, *told)


def total_of(actor: Actor, **narrowed: Any) -> int:
    """How many activities there are in the actor's sight, exact; `narrowed` are values of their columns.

    For who sees all leads the ledger knows them of a person and a priority, less what hangs on deleted leads. For others the
    ledger by owner knows those on their own and on unassigned leads; those on leads shared with them, which are few, are counted.
    """
    if not actor.can(VIEW) or not actor.can(VIEW_LEADS):
        return 0
    rows = Activity.objects.filter(**narrowed)
    if not actor.can(SEE_ALL):
        shared = sum(rows.filter(lead__in=branch.order_by().values("pk")).count() for branch in shared_branches(actor))
        return _summed(OwnerCount.objects.filter(owner_id__in=[actor.user_id, NOBODY], **narrowed)) + shared
    if set(narrowed) <= {"user_id", "priority"}:
        return _summed(PriorityCount.objects.filter(**narrowed)) - rows.filter(lead__in=_deleted()).count()
    return sum(rows.filter(lead__in=branch.order_by().values("pk")).count() for branch in branches_visible_to(actor))


def _summed(ledger: QuerySet[Any]) -> int:
    return int(ledger.aggregate(n=Sum("activities"))["n"] or 0)


def _deleted() -> QuerySet[Any]:
    return Lead.objects.filter(deleted_at__isnull=False).order_by().values("pk")


def _set_aside() -> Q:
    """Activities of leads that nobody follows up."""
    return Q(lead__deleted_at__isnull=False) | ~Q(lead__status_id__in=open_status_ids())


def _all_due() -> QuerySet[Activity]:
    """What is still to be done by a certain time on any open lead.

    Of a whole tenant the leads that nobody follows up are read once, along their indexes, rather than the lead of each activity.
    """
    closed = list(LeadStatus.objects.exclude(pk__in=open_status_ids()).order_by().values_list("pk", flat=True))
    rows = Activity.objects.filter(status=ActivityStatus.PENDING, due_at__isnull=False)
    return rows.exclude(lead__in=Lead.objects.live().filter(status_id__in=closed).order_by().values("pk")).exclude(lead__in=_deleted())


@dataclass(frozen=True, kw_only=True)
class FollowUpCounts:
    """Rule 1.52."""

    total_pending: int
    urgent_pending: int
    high_pending: int
    overdue: int
    due_within_24h: int
    due_within_week: int


def follow_up_counts(actor: Actor, *, user_id: int | None, now: datetime) -> FollowUpCounts:
    """Pending follow-ups by urgency and time: everybody's for who sees all leads, or one person's; else the actor's own."""
    user_id = person_asked(actor, user_id)
    if not actor.can(VIEW) or not actor.can(VIEW_LEADS) or not actor.can(SEE_ALL):
        return FollowUpCounts(**_counted(due_visible_to(actor), user_id=user_id, now=now))
    if user_id is None:
        return FollowUpCounts(**_counted(_all_due(), user_id=None, now=now))
    # One person's are counted along their index alone; of those, few hang on leads that are deleted, won or lost.
    rows = Activity.objects.filter(status=ActivityStatus.PENDING, due_at__isnull=False)
    whole = _counted(rows, user_id=user_id, now=now)
    aside = _counted(rows.filter(_set_aside()), user_id=user_id, now=now)
    return FollowUpCounts(**{name: number - aside[name] for name, number in whole.items()})


def person_asked(actor: Actor, user_id: int | None) -> int | None:
    """Whose work is meant where nobody is named: everybody's for who sees all leads, else the actor's own."""
    return user_id if user_id is not None or actor.can(SEE_ALL) else actor.user_id


def _counted(rows: QuerySet[Activity], *, user_id: int | None, now: datetime) -> dict[str, int]:
    if user_id is not None:
        rows = rows.filter(user_id=user_id)
    counted: dict[str, int] = rows.order_by().aggregate(
        total_pending=Count("pk"),
        urgent_pending=Count("pk", filter=Q(priority=ActivityPriority.URGENT)),
        high_pending=Count("pk", filter=Q(priority=ActivityPriority.HIGH)),
        overdue=Count("pk", filter=Q(due_at__lt=now)),
        due_within_24h=Count("pk", filter=Q(due_at__gte=now, due_at__lt=now + timedelta(hours=24))),
        due_within_week=Count("pk", filter=Q(due_at__gte=now, due_at__lt=now + timedelta(days=7))),
    )
    return counted


def due_total(actor: Actor, *, before: datetime | None = None, **narrowed: Any) -> int:
    """How many open activities with a date there are on open leads in the actor's sight, exact."""
    if before is not None:
        narrowed["due_at__lt"] = before
    if not actor.can(VIEW) or not actor.can(VIEW_LEADS) or not actor.can(SEE_ALL):
        return due_visible_to(actor).filter(**narrowed).count()
    if "user_id" not in narrowed:
        return _all_due().filter(**narrowed).count()
    rows = Activity.objects.filter(status=ActivityStatus.PENDING, due_at__isnull=False, **narrowed)
    return rows.count() - rows.filter(_set_aside()).count()


def visible_ids(*, ids: Sequence[int], by: Actor) -> set[int]:
    """Of these, the ones that the actor sees."""
    return set(activities_visible_to(by).filter(pk__in=ids).values_list("pk", flat=True))


def leads_of(ids: Iterable[int]) -> list[int]:
    return sorted(set(Activity.objects.filter(pk__in=list(ids)).values_list("lead_id", flat=True)))


def note_all_activities(lead: Lead, rows: Sequence[Activity]) -> None:
    """Who has read all activities of a lead says so, for whoever asks what is open."""
    is_open = (row for row in rows if row.is_open and row.activity_type in TO_DO)
    ordered = sorted(is_open, key=lambda row: (row.due_at is None, row.due_at or EPOCH, row.pk))
    current_scope().memo.setdefault("activities.open", {})[lead.pk] = ordered[:MOST_OPEN]


def open_once(lead: Lead) -> list[Activity]:
    """`open_activities`, read once for the page in progress."""
    memo = current_scope().memo.setdefault("activities.open", {})
    if lead.pk not in memo:
        memo[lead.pk] = open_activities(lead)
    found: list[Activity] = memo[lead.pk]
    return found


def minutes_text(minutes: int | None) -> str:
    """Minutes as the timeline says them."""
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes else ""


# --- today ---

# A person who let more than so many things lie has the latest of them looked at.
MOST_CANDIDATES = 1000

_DUE_TODAY = """
SELECT a.id, a.lead_id, a.activity_type, a.description, a.priority, a.due_at, lead.priority, lead.score
FROM (
    SELECT id, lead_id, activity_type, description, priority, due_at, snoozed_until FROM activities_activity
    WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND status = 'pending' AND due_at < %(before)s
    ORDER BY due_at DESC, id DESC LIMIT %(candidates)s
) AS a
JOIN leads_lead AS lead ON lead.tenant_id = %(tenant)s AND lead.id = a.lead_id
WHERE (a.snoozed_until IS NULL OR a.snoozed_until <= %(now)s) AND lead.deleted_at IS NULL AND lead.status_id = ANY (%(open)s)
  AND (%(all)s OR lead.owner_id = %(user)s OR lead.owner_id IS NULL OR lead.id = ANY (%(shared)s))
ORDER BY greatest(a.priority, lead.priority) * (50 + lead.score) * CASE
    WHEN a.activity_type = 'meeting' AND a.due_at BETWEEN %(now)s - interval '30 minutes' AND %(now)s + interval '1 hour' THEN 6.0
    WHEN a.due_at <= %(now)s THEN least(2 + extract(epoch FROM %(now)s - a.due_at) / 86400, 5)
    ELSE greatest(2 - extract(epoch FROM a.due_at - %(now)s) / 43200, 0.5) END DESC, a.id
LIMIT %(most)s
"""


@dataclass(frozen=True)
class Due:
    """An open activity that is due, with what its weight is made of."""

    id: int
    lead_id: int
    activity_type: str
    description: str
    priority: int
    due_at: datetime
    lead_priority: int
    score: int


def due_today(actor: Actor, *, now: datetime, before: datetime, most: int) -> list[Due]:
    """The actor's own open activities due before a moment on open leads in their sight, the weightiest first."""
    if not actor.can(VIEW) or not actor.can(VIEW_LEADS):
        return []
    shared: list[int] = []
    if not actor.can(SEE_ALL):
        shared = [pk for branch in shared_branches(actor) for pk in branch.order_by().values_list("pk", flat=True)[:1000]]
    given = {
        "tenant": actor.tenant_id,
        "user": actor.user_id,
        "before": before,
        "now": now,
        "candidates": MOST_CANDIDATES,
        "open": open_status_ids(),
        "all": actor.can(SEE_ALL),
        "shared": shared,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DUE_TODAY, given)
        return [Due(*row) for row in cursor.fetchall()]
