"""Do, cancel, put off and change activities.

Leads are locked before their activities, as those who edit leads do, so that the two never wait for one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from activities.enums import ActivityStatus
from activities.errors import NotPending
from activities.events import ActivitiesChanged
from activities.models import Activity
from activities.permissions import CHANGE
from activities.selectors import activities_visible_to, leads_of
from activities.services.logging import FARTHEST, LONGEST, LONGEST_MINUTES, clean_words, note_contact
from activities.services.mentions import tell_mentioned
from activities.services.repeating import repeat
from crm.actors import Actor
from crm.errors import InvalidInput, NotFound
from crm.events.bus import publish
from leads.models import Lead


def locked(*, ids: Sequence[int], by: Actor) -> list[Activity]:
    """Activities in the actor's sight, locked behind their leads, by id."""
    seen = activities_visible_to(by).filter(pk__in=ids)
    leads = leads_of(seen.values_list("pk", flat=True))
    list(Lead.objects.filter(pk__in=leads).select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    rows = activities_visible_to(by).filter(pk__in=ids).select_related("lead").select_for_update(of=("self",))
    return [row for row in rows.defer("lead__search").order_by("pk") if row.lead_id in set(leads)]


def find_activity(*, activity_id: int, lock: bool = False, by: Actor) -> Activity:
    """One activity in the actor's sight, or NotFound."""
    found = (
        locked(ids=[activity_id], by=by) if lock else list(activities_visible_to(by).select_related("lead", "user").filter(pk=activity_id))
    )
    if not found:
        raise NotFound("Activity not found.")
    return found[0]


def update_status(*, activity_id: int, status: ActivityStatus, notes: str = "", outcome: str = "", by: Actor) -> Activity:
    """Set an activity's state. Done, a conversation is the lead's last contact, and a recurring activity's next one is made.

    A recurring activity that is cancelled ends there.
    """
    by.require(CHANGE)
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        before = activity.status
        changed = _add_notes(activity, notes)
        if outcome:
            activity.outcome = clean_words(outcome)[:300]
            changed.append("outcome")
        if status != before:
            set_state(activity, status)
            changed += ["status", "completed_at", "occurred_at", "remind_at", "snoozed_until"]
        if not changed:
            return activity
        activity.save(update_fields=[*changed, "updated_at"])
        if status != before and status == ActivityStatus.COMPLETED:
            note_contact(activity=activity)
        if status == ActivityStatus.COMPLETED and before == ActivityStatus.PENDING:
            repeat(activity=activity, by=by)
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(changed)))
    return activity


def set_state(activity: Activity, status: ActivityStatus) -> None:
    """Give an unsaved change its state, and the moments that go with it."""
    now = timezone.now()
    activity.status = status
    activity.completed_at = now if status == ActivityStatus.COMPLETED else None
    activity.occurred_at = activity.created_at if status == ActivityStatus.PENDING else now
    activity.remind_at = activity.snoozed_until = None
    if status == ActivityStatus.PENDING and activity.due_at is not None and activity.due_at > now:
        activity.remind_at = activity.reminder()


def reschedule(*, activity_id: int, due_at: datetime | None, notes: str = "", by: Actor) -> Activity:
    """Put an open activity off, or take its date away. Raises NotPending where it is over, InvalidInput."""
    by.require(CHANGE)
    check_due(due_at)
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        if not activity.is_open:
            raise NotPending(_("This is over already; record a new one."))
        changed = _add_notes(activity, notes)
        if due_at != activity.due_at:
            move(activity, due_at)
            changed += ["due_at", "remind_before", "remind_at", "snoozed_until"]
        if changed:
            activity.save(update_fields=[*changed, "updated_at"])
            publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(changed)))
    return activity


def check_due(due_at: datetime | None) -> None:
    if due_at is not None and abs(due_at - timezone.now()) > FARTHEST:
        raise InvalidInput({"nextFollowUpDate": [_("Choose a day within ten years.")]})


def move(activity: Activity, due_at: datetime | None) -> None:
    """Give an unsaved change its time. A reminder keeps its distance, also one that has been given; a snooze ends."""
    if activity.remind_before is None and activity.remind_at and activity.due_at and activity.snoozed_until is None:
        activity.remind_before = minutes_between(activity.remind_at, activity.due_at)
    activity.due_at = due_at
    activity.snoozed_until = None
    activity.remind_at = activity.reminder()


def minutes_between(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() / 60)


def snooze(*, activity_id: int, until: datetime, by: Actor) -> Activity:
    """Let an open activity rest until then. It stays due when it was; the person is reminded when it comes back."""
    by.require(CHANGE)
    now = timezone.now()
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        if not now < until <= now + FARTHEST:
            raise InvalidInput({"until": [_("Choose a time ahead.")]})
        if not activity.is_open:
            raise NotPending(_("This is over already; record a new one."))
        activity.snoozed_until = activity.remind_at = until
        activity.save(update_fields=["snoozed_until", "remind_at", "updated_at"])
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=("snoozed_until",)))
    return activity


EDITABLE = ("description", "priority", "due_at", "duration", "outcome", "location", "remind_at")


def edit_activity(*, activity_id: int, data: dict[str, Any], by: Actor) -> Activity:
    """Change an activity's own fields; people newly named in its text are told. Raises InvalidInput by field."""
    by.require(CHANGE)
    values = {name: data[name] for name in EDITABLE if name in data}
    problems: dict[str, list[str]] = {}
    if len(values.get("description") or "") > LONGEST:
        problems["description"] = [_("At most %(number)s characters.") % {"number": f"{LONGEST:,}"}]
    if values.get("duration") is not None and not 0 <= values["duration"] <= LONGEST_MINUTES:
        problems["duration"] = [_("Minutes, at most 30 days.")]
    if problems:
        raise InvalidInput(problems)
    check_due(values.get("due_at"))
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        text = activity.description
        if "due_at" in values and values["due_at"] != activity.due_at:
            if not activity.is_open:
                raise NotPending(_("This is over already; record a new one."))
            move(activity, values.pop("due_at"))
        values.pop("due_at", None)
        for name, value in values.items():
            limit = Activity._meta.get_field(name).max_length  # type: ignore[union-attr]
            setattr(activity, name, clean_words(value)[:limit] if isinstance(value, str) else value)
        if "remind_at" in values:
            at, due = activity.remind_at, activity.due_at
            activity.remind_before = minutes_between(at, due) if at is not None and due is not None else None
        activity.save()
        if activity.description != text:
            tell_mentioned(activity=activity, lead=activity.lead, before=text, by=by)
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(data)))
    return activity


@dataclass(frozen=True, kw_only=True)
class Before:
    """What closing or putting off an activity changes, as it was."""

    due_at: datetime | None
    remind_at: datetime | None
    snoozed_until: datetime | None
    contacted_at: datetime | None


def undo_close(*, activity_id: int, was: Before, by: Actor) -> Activity:
    """Take back a done or a put-off: open again, due and reminded of when it was, the lead's last contact as it was."""
    by.require(CHANGE)
    check_due(was.due_at)
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        done_at = activity.completed_at
        set_state(activity, ActivityStatus.PENDING)
        activity.due_at, activity.remind_at, activity.snoozed_until = was.due_at, was.remind_at, was.snoozed_until
        activity.save()
        if done_at is not None:
            Lead.objects.filter(pk=activity.lead_id, last_contact_at=done_at).update(
                last_contact_at=was.contacted_at, updated_at=timezone.now()
            )
        later = Activity.objects.filter(
            series=activity.series or activity.pk, status=ActivityStatus.PENDING, created_at__gte=done_at or timezone.now()
        )
        later.exclude(pk=activity.pk).filter(lead_id=activity.lead_id).delete()
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=("status", "due_at")))
    return activity


def _add_notes(activity: Activity, notes: str) -> list[str]:
    text = clean_words(notes)
    if not text:
        return []
    activity.notes = f"{activity.notes}\n{text}".strip()[-LONGEST:]
    return ["notes"]
