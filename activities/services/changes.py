"""Do, cancel, put off and change activities.

Leads are locked before their activities, as those who edit leads do, so that the two never wait for one another.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from activities.enums import ActivityStatus
from activities.errors import NotPending
from activities.events import ActivitiesChanged, ActivityLogged
from activities.models import Activity
from activities.permissions import CHANGE
from activities.selectors import activities_visible_to, leads_of
from activities.services.invitations import invite_to_next
from activities.services.logging import FARTHEST, LONGEST, LONGEST_MINUTES, clean_words, note_contact, zone_for
from activities.services.mentions import tell_mentioned
from activities.services.recurrence import next_occurrence
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
        reminder = activity.remind_at or activity.reminded_for
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
        if status == ActivityStatus.COMPLETED and before == ActivityStatus.PENDING and activity.recurrence:
            ahead = activity.due_at - reminder if activity.due_at and reminder else None
            repeat(activity=activity, remind_before=ahead, by=by)
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(changed)))
    return activity


def set_state(activity: Activity, status: ActivityStatus) -> None:
    """Give an unsaved change its state, and the moments that go with it."""
    now = timezone.now()
    activity.status = status
    activity.completed_at = now if status == ActivityStatus.COMPLETED else None
    activity.occurred_at = activity.created_at if status == ActivityStatus.PENDING else now
    activity.remind_at = activity.snoozed_until = None


def repeat(*, activity: Activity, remind_before: timedelta | None, by: Actor) -> Activity | None:
    """Make the one after a recurring activity that is over: the first that still lies ahead. It takes the rule along.

    None where the rule ends, or where the person has one of the series open already, as after an undo.
    """
    if activity.due_at is None:
        return None
    series = activity.series or activity.pk
    if Activity.objects.filter(series=series, lead_id=activity.lead_id, status=ActivityStatus.PENDING).exclude(pk=activity.pk).exists():
        return None
    zone = zone_for(activity.user)
    found = next_occurrence(activity.recurrence, due_at=activity.due_at, zone=zone)
    now = timezone.now()
    while found is not None and found[0] <= now:
        found = next_occurrence(found[1], due_at=found[0], zone=zone)
    if found is None:
        return None
    due_at, rule = found
    following = Activity.objects.create(
        lead_id=activity.lead_id,
        user_id=activity.user_id,
        activity_type=activity.activity_type,
        description=activity.description,
        priority=activity.priority,
        due_at=due_at,
        duration=activity.duration,
        location=activity.location,
        attendees=activity.attendees,
        remind_at=due_at - remind_before if remind_before is not None else None,
        recurrence=rule,
        series=series,
        created_by_id=by.user_id,
        created_via=str(by.door),
    )
    invite_to_next(activity=activity, following=following, by=by)
    if activity.series is None:
        Activity.objects.filter(pk=activity.pk).update(series=series)
    publish(
        ActivityLogged(
            activity_id=following.pk, lead_id=following.lead_id, activity_type=str(following.activity_type), status=str(following.status)
        )
    )
    return following


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
            changed += ["due_at", "remind_at", "snoozed_until"]
        if changed:
            activity.save(update_fields=[*changed, "updated_at"])
            publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(changed)))
    return activity


def check_due(due_at: datetime | None) -> None:
    if due_at is not None and abs(due_at - timezone.now()) > FARTHEST:
        raise InvalidInput({"nextFollowUpDate": [_("Choose a day within ten years.")]})


def move(activity: Activity, due_at: datetime | None) -> None:
    """Give an unsaved change its time. A reminder keeps its distance."""
    if due_at is None:
        activity.remind_at = None
    elif activity.remind_at is not None and activity.due_at is not None:
        activity.remind_at = due_at - (activity.due_at - activity.remind_at)
    activity.due_at = due_at
    activity.snoozed_until = None


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
        activity.save()
        if activity.description != text:
            tell_mentioned(activity=activity, lead=activity.lead, before=text, by=by)
        publish(ActivitiesChanged(activity_ids=(activity.pk,), fields=tuple(data)))
    return activity


def undo_close(*, activity_id: int, due_at: datetime | None, contacted_at: datetime | None, by: Actor) -> Activity:
    """Take back a done or a put-off: open again, due when it was, the lead's last contact as it was."""
    by.require(CHANGE)
    check_due(due_at)
    with transaction.atomic():
        activity = find_activity(activity_id=activity_id, lock=True, by=by)
        done_at = activity.completed_at
        set_state(activity, ActivityStatus.PENDING)
        activity.due_at = due_at
        activity.save()
        if done_at is not None:
            Lead.objects.filter(pk=activity.lead_id, last_contact_at=done_at).update(
                last_contact_at=contacted_at, updated_at=timezone.now()
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
