"""Record an activity on a lead: done already, or to be done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from activities.enums import CONTACTS, TO_DO, ActivityPriority, ActivityStatus, ActivityType
from activities.events import ActivitiesChanged, ActivityLogged
from activities.models import Activity
from activities.permissions import ADD
from activities.services.invitations import invite_attendees
from activities.services.mentions import tell_mentioned
from activities.services.recurrence import starting_rule, zone_for
from activities.services.repeating import repeat
from crm.actors import Actor
from crm.errors import InvalidInput
from crm.events.bus import publish
from crm.identity.models import User
from crm.normal import checked_email
from leads.models import Lead
from leads.services.editing import find_lead

LONGEST = 10_000
# Further ahead is a slip of the keyboard.
FARTHEST = timedelta(days=3660)
LONGEST_MINUTES = 30 * 24 * 60


@dataclass(frozen=True, kw_only=True)
class ActivityDraft:
    """What is to be recorded. Without a person it is the actor's; `remind_before` are minutes before it is due."""

    activity_type: ActivityType
    description: str = ""
    status: ActivityStatus = ActivityStatus.PENDING
    priority: ActivityPriority = ActivityPriority.MEDIUM
    due_at: datetime | None = None
    user_id: int | None = None
    duration: int | None = None
    outcome: str = ""
    location: str = ""
    attendees: Sequence[str] = field(default=())
    remind_before: int | None = None
    recurrence: str = ""
    # Mail the attendees of a meeting an invitation.
    invite: bool = False
    occurred_at: datetime | None = None
    # When to follow up afterwards, and the open activity that this was.
    then_at: datetime | None = None
    closes: int | None = None


def log_activity(*, lead_id: int, draft: ActivityDraft, by: Actor) -> Activity:
    """Record an activity on a lead in the actor's sight. A conversation that took place is the lead's last contact.

    People named in its text are told. Raises InvalidInput by field, NotFound.
    """
    by.require(ADD)
    now = timezone.now()
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, lock=True, by=by)
        activity = _checked(lead, draft, now=now, by=by)
        activity.save()
        if activity.status == ActivityStatus.COMPLETED:
            note_contact(activity=activity)
        _go_on(activity, draft, now=now, by=by)
        if draft.invite:
            invite_attendees(activity=activity, by=by)
        tell_mentioned(activity=activity, lead=lead, before="", by=by)
        publish(
            ActivityLogged(activity_id=activity.pk, lead_id=lead.pk, activity_type=str(activity.activity_type), status=str(activity.status))
        )
    return activity


def _go_on(activity: Activity, draft: ActivityDraft, *, now: datetime, by: Actor) -> None:
    """Close the step that this was, and set the next one: the database moves the lead's next step there, or makes one."""
    if draft.closes is not None:
        open_steps = Activity.objects.filter(lead_id=activity.lead_id, status=ActivityStatus.PENDING)
        step = open_steps.filter(pk=draft.closes).select_related("user").select_for_update(of=("self",)).first()
        if step is not None:
            step.status, step.completed_at, step.occurred_at = ActivityStatus.COMPLETED, now, now
            step.remind_at = step.snoozed_until = None
            changed = ("status", "completed_at", "occurred_at", "remind_at", "snoozed_until")
            step.save(update_fields=[*changed, "updated_at"])
            repeat(activity=step, by=by)
            publish(ActivitiesChanged(activity_ids=(step.pk,), fields=changed))
    if draft.then_at is not None:
        Lead.objects.filter(pk=activity.lead_id).update(next_follow_up_at=draft.then_at, updated_at=now)


def _checked(lead: Lead, draft: ActivityDraft, *, now: datetime, by: Actor) -> Activity:
    problems: dict[str, list[str]] = {}
    description = clean_words(draft.description)
    if draft.activity_type == ActivityType.SYSTEM:
        problems["activity_type"] = ["Only the product itself records these."]
    if not description and draft.activity_type in (ActivityType.NOTE, ActivityType.TASK):
        problems["description"] = ["Say what it is about."]
    if len(description) > LONGEST:
        problems["description"] = [f"At most {LONGEST:,} characters."]
    if draft.due_at is not None and abs(draft.due_at - now) > FARTHEST:
        problems["due_at"] = ["Choose a day within ten years."]
    if draft.then_at is not None and not now <= draft.then_at <= now + FARTHEST:
        problems["then_at"] = ["Choose a time ahead, within ten years."]
    if draft.duration is not None and not 0 <= draft.duration <= LONGEST_MINUTES:
        problems["duration"] = ["Minutes, at most 30 days."]
    if draft.occurred_at is not None and (draft.occurred_at > now + timedelta(minutes=5) or now - draft.occurred_at > FARTHEST):
        problems["occurred_at"] = ["It cannot have happened then."]
    person = _person(draft.user_id, problems) if draft.user_id is not None else None
    attendees = _addresses(draft.attendees, problems)
    if draft.recurrence and draft.due_at is None:
        problems["recurrence"] = ["Choose when it is due first."]
    if problems:
        raise InvalidInput(problems)
    done = draft.status == ActivityStatus.COMPLETED
    happened = (draft.occurred_at if done else None) or now
    activity = Activity(
        lead=lead,
        user_id=draft.user_id if draft.user_id is not None else by.user_id,
        activity_type=draft.activity_type,
        description=description,
        priority=draft.priority,
        status=draft.status,
        due_at=draft.due_at,
        occurred_at=happened,
        completed_at=happened if done else None,
        duration=draft.duration,
        outcome=clean_words(draft.outcome)[:300],
        location=clean_words(draft.location)[:200],
        attendees=attendees,
        created_by_id=by.user_id,
        created_via=str(by.door),
        created_at=now,
    )
    if draft.recurrence and draft.due_at is not None:
        zone = zone_for(person or (User.objects.filter(pk=activity.user_id).first() if activity.user_id else None))
        activity.recurrence = starting_rule(draft.recurrence, due_at=draft.due_at, zone=zone)
    if draft.due_at is not None and activity.is_open and draft.activity_type in TO_DO:
        activity.remind_before = draft.remind_before
        activity.remind_at = activity.reminder()
    return activity


def clean_words(text: str) -> str:
    """Text of several lines without control characters."""
    lines = ("".join(char for char in line if char.isprintable() or char == "\t").rstrip() for line in text.splitlines())
    return "\n".join(lines).strip()


def _person(user_id: int, problems: dict[str, list[str]]) -> User | None:
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        problems["user_id"] = ["No such active user."]
    return user


def _addresses(given: Sequence[str], problems: dict[str, list[str]]) -> list[str]:
    addresses = []
    for text in list(given)[:50]:
        try:
            addresses.append(checked_email(text.strip()))
        except ValueError as error:
            problems["attendees"] = [f"{text[:60]}: {error}"]
    if len(given) > 50:
        problems["attendees"] = ["At most 50."]
    return addresses


def note_contact(*, activity: Activity) -> None:
    """A conversation that took place is the lead's last contact, unless there was a later one."""
    if activity.activity_type in CONTACTS and activity.completed_at is not None:
        lead = Lead.objects.filter(pk=activity.lead_id).exclude(last_contact_at__gte=activity.completed_at)
        lead.update(last_contact_at=activity.completed_at, updated_at=timezone.now())
