"""Remind people when it is time, and tell them what is overdue: each once, whoever runs this and how often.

What is due is claimed with SKIP LOCKED and marked in the transaction that tells: a worker killed in between tells once more
later, never not at all, and `once` keeps it to a single notification.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from activities.enums import ActivityStatus
from activities.models import Activity
from activities.services.mentions import plain_text
from activities.services.recurrence import zone_for
from activities.services.repeating import repeat_closed
from crm.actors import Actor
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from leads.enums import StatusCategory
from notifications.services import notify

REMINDER, OVERDUE = "reminder", "follow_up_overdue"
AT_ONCE = 200
# After so long nobody is told of it as if it were new, such as after an install stood still.
TOO_OLD = timedelta(days=2)
# What is due gets this long before it counts as forgotten.
GRACE = timedelta(hours=1)


def remind_due(*, now: datetime | None = None) -> int:
    """Remind of all that is due by now, in every tenant. Answers how many people were told."""
    at = now or timezone.now()
    for tenant_id in _tenants():
        _everything(tenant_id, _repeat, at)
    return sum(_everything(tenant_id, _remind, at) for tenant_id in _tenants())


def tell_overdue(*, now: datetime | None = None) -> int:
    """Tell each person once of what has passed its time by GRACE (rule 1.54). Answers how many were told."""
    at = now or timezone.now()
    return sum(_everything(tenant_id, _tell_overdue, at) for tenant_id in _tenants())


def _tenants() -> list[int]:
    return list(Tenant.objects.filter(is_active=True).values_list("pk", flat=True))


def _everything(tenant_id: int, step: Callable[[datetime, Actor], tuple[int, int]], now: datetime) -> int:
    told = 0
    while True:
        with tenant_scope(tenant_id, by=Actor.system(tenant_id=tenant_id)) as scope:
            assert scope.actor is not None
            number, found = step(now, scope.actor)
        told += number
        if found < AT_ONCE:
            return told


def _repeat(now: datetime, by: Actor) -> tuple[int, int]:
    """What was closed by a door that says nothing of it goes on too, a minute later."""
    return 0, repeat_closed(by=by)


def _remind(now: datetime, by: Actor) -> tuple[int, int]:
    due = Activity.objects.filter(status=ActivityStatus.PENDING, remind_at__lte=now)
    rows = _claimed(due, "remind_at")
    told = 0
    for row in rows:
        if row.remind_at is not None and now - row.remind_at <= TOO_OLD and _still_wanted(row):
            told += notify(
                kind=REMINDER,
                user_ids=[row.user_id] if row.user_id else [],
                title=f"{row.get_activity_type_display()}: {row.lead.display_name}",
                body=_body(row),
                url=f"/leads/{row.lead_id}#activity-{row.pk}",
                once=f"reminder:{row.pk}:{row.remind_at.isoformat()}",
                by=by,
            )
    # Nobody is reminded of the same moment twice; what changed meanwhile has a moment of its own.
    Activity.objects.filter(pk__in=[row.pk for row in rows]).update(reminded_for=F("remind_at"), remind_at=None)
    # After a snooze that ended early, the reminder before the date is still to come.
    for row in rows:
        following = row.reminder()
        if row.snoozed_until is not None and following is not None and following > now:
            Activity.objects.filter(pk=row.pk).update(remind_at=following)
    return told, len(rows)


def _tell_overdue(now: datetime, by: Actor) -> tuple[int, int]:
    late = Activity.objects.filter(status=ActivityStatus.PENDING, due_at__lte=now - GRACE, due_at__gte=now - GRACE - TOO_OLD)
    late = late.exclude(overdue_told_for=F("due_at")).filter(Q(snoozed_until=None) | Q(snoozed_until__lte=now))
    rows = _claimed(late, "due_at")
    told = 0
    for row in rows:
        if row.due_at is not None and _still_wanted(row):
            told += notify(
                kind=OVERDUE,
                user_ids=[row.user_id] if row.user_id else [],
                title=f"Overdue: {row.get_activity_type_display().lower()} with {row.lead.display_name}",
                body=_body(row),
                url=f"/leads/{row.lead_id}#activity-{row.pk}",
                once=f"overdue:{row.pk}:{row.due_at.isoformat()}",
                by=by,
            )
    Activity.objects.filter(pk__in=[row.pk for row in rows]).update(overdue_told_for=F("due_at"))
    return told, len(rows)


def _claimed(rows: QuerySet[Activity], order: str) -> Sequence[Activity]:
    locked = rows.select_for_update(of=("self",), skip_locked=True).select_related("lead__status", "user").defer("lead__search")
    return list(locked.order_by(order, "pk")[:AT_ONCE])


def _still_wanted(row: Activity) -> bool:
    """Whether the lead is there and open."""
    return row.lead.deleted_at is None and row.lead.status.category == StatusCategory.OPEN


def _body(row: Activity) -> str:
    due = date_format(row.due_at.astimezone(zone_for(row.user)), "DATETIME_FORMAT") if row.due_at else ""
    return " · ".join(part for part in (due, plain_text(row.description)[:200], row.location) if part)
