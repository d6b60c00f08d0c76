"""What the demo's people did with their leads, and have to do: calls, mails, notes, meetings, tasks."""

import random
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from activities.enums import ActivityPriority, ActivityStatus, ActivityType
from activities.models import Activity
from activities.services.reminders import GRACE
from crm.bulk import insert_records
from leads.enums import StatusCategory
from leads.models import Lead

_CALLS = (
    ("Talked through the offer; they compare two vendors.", "Interested", (6, 35)),
    ("No answer, left a message with the switchboard.", "Left a message", (1, 2)),
    ("Short call: wants figures for thirty seats.", "Reached", (3, 12)),
    ("Asked about support hours and onboarding.", "Interested", (8, 25)),
    ("Line busy twice.", "Busy", (1, 1)),
    ("Budget is decided next month; call again then.", "Reached", (4, 15)),
    ("Nobody picked up.", "No answer", (1, 1)),
    ("Went through security questions with their IT lead.", "Reached", (15, 50)),
)
_MAILS = (
    "Sent the price list and two references.",
    "Sent the minutes and next steps.",
    "Answered the questions about data residency.",
    "Sent the revised offer with a yearly plan.",
    "Introduced myself, asked for a short call.",
    "Sent the case study of a company of their size.",
)
_NOTES = (
    "Decides together with the finance lead; include both.",
    "Prefers to be called before ten.",
    "Uses spreadsheets today, loses leads between two teams.",
    "Contract with the present vendor ends in the spring.",
    "Met at the trade fair, asked for a demo of reports.",
    "Wants everything in one invoice.",
)
_MEETINGS = ("Product demo", "Kick-off with the sales team", "Contract review", "Visit at their office", "Workshop on data import")
_TASKS = (
    "Send the signed contract",
    "Prepare the offer for 40 seats",
    "Ask legal about the data agreement",
    "Set up the trial account",
    "Collect the questions for the demo",
    "Check the address for the invoice",
)
_FOLLOW_UPS = (
    "Call back about the offer",
    "Ask whether the trial went well",
    "Check the decision of the board",
    "Follow up on the demo",
    "",
)


def make_activities(*, now: datetime, dice: random.Random) -> int:
    """Give every lead that somebody has worked on its conversations, and the open ones something to do. Answers how many."""
    rows: list[Activity] = []
    for lead in Lead.objects.live().filter(owner__isnull=False).select_related("status").order_by("pk"):
        rows += _past(lead, dice, now)
        if lead.status.category == StatusCategory.OPEN:
            rows += _plans(lead, dice, now)
    insert_records(sorted(rows, key=lambda row: row.created_at))
    for step in Activity.objects.filter(activity_type=ActivityType.FOLLOW_UP, description="", status=ActivityStatus.PENDING):
        step.description = dice.choice(_FOLLOW_UPS)
        step.save(update_fields=["description"])
    # What is overdue was told to people before the demo began; only the latest of it is news.
    late = Activity.objects.filter(status=ActivityStatus.PENDING, due_at__lte=now - GRACE)
    late.update(overdue_told_for=F("due_at"))
    return len(rows)


def _past(lead: Lead, dice: random.Random, now: datetime) -> list[Activity]:
    """What was done between the lead's coming and its last contact."""
    if lead.last_contact_at is None:
        return []
    span = max((lead.last_contact_at - lead.created_at).total_seconds(), 3600)
    number = dice.choice((1, 2, 2, 3, 4, 6))
    moments = sorted(lead.created_at + timedelta(seconds=dice.random() * span) for _ in range(number - 1))
    return [_done(lead, moment, dice) for moment in [*moments, lead.last_contact_at] if moment <= now]


def _done(lead: Lead, at: datetime, dice: random.Random) -> Activity:
    kind = dice.choices((ActivityType.CALL, ActivityType.EMAIL, ActivityType.NOTE, ActivityType.MEETING), (45, 28, 17, 10))[0]
    given: dict[str, Any] = {}
    match kind:
        case ActivityType.CALL:
            text, outcome, (least, most) = dice.choice(_CALLS)
            given = {"description": text, "outcome": outcome, "duration": dice.randint(least, most)}
        case ActivityType.EMAIL:
            given = {"description": dice.choice(_MAILS)}
        case ActivityType.MEETING:
            given = {
                "description": dice.choice(_MEETINGS),
                "duration": dice.choice((30, 45, 60)),
                "location": dice.choice(("Video call", "Their office")),
            }
        case _:
            given = {"description": dice.choice(_NOTES)}
    return _activity(lead, kind, at, status=ActivityStatus.COMPLETED, completed_at=at, **given)


def _plans(lead: Lead, dice: random.Random, now: datetime) -> list[Activity]:
    """A task for one lead in six, a meeting for one in twelve."""
    rows = []
    made = now - timedelta(hours=dice.randint(2, 90))
    made = max(made, lead.created_at)
    if dice.random() < 1 / 6:
        due = (now + timedelta(days=dice.randint(-2, 9))).replace(
            hour=dice.randint(13, 21), minute=dice.choice((0, 30)), second=0, microsecond=0
        )
        rows.append(
            _activity(
                lead, ActivityType.TASK, made, description=dice.choice(_TASKS), due_at=due, priority=dice.choice(ActivityPriority.values)
            )
        )
    if dice.random() < 1 / 12:
        due = (now + timedelta(days=dice.randint(0, 12))).replace(hour=dice.randint(14, 20), minute=0, second=0, microsecond=0)
        rows.append(
            _activity(
                lead, ActivityType.MEETING, made, description=dice.choice(_MEETINGS), due_at=due, duration=45, location="Video call",
                remind_at=due - timedelta(minutes=15) if due > now else None,
            )
        )  # fmt: skip
    return rows


def _activity(lead: Lead, kind: ActivityType, at: datetime, **fields: Any) -> Activity:
    return Activity(
        tenant_id=lead.tenant_id,
        lead=lead,
        user_id=lead.owner_id,
        activity_type=kind,
        created_by_id=lead.owner_id,
        created_via="page",
        occurred_at=at,
        created_at=at,
        **fields,
    )
