"""What activities tell in a lead's timeline."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from activities.enums import CATEGORIES, TIMELINE_WORDS, ActivityStatus, ActivityType
from activities.models import Activity
from activities.permissions import VIEW
from activities.selectors import minutes_text, note_all_activities
from activities.services.mentions import plain_text
from crm.actors import Actor
from crm.timeline import Entry, Position, Tally, TimelineSource, Wanted
from leads.models import Lead

_VERBS = {
    ActivityType.CALL: "Call",
    ActivityType.EMAIL: "E-mail",
    ActivityType.MEETING: "Meeting",
    ActivityType.NOTE: "Note",
    ActivityType.STATUS_CHANGE: "Status change",
    ActivityType.ASSIGNMENT: "Assignment",
    ActivityType.FOLLOW_UP: "Follow-up",
    ActivityType.TASK: "Task",
    ActivityType.SMS: "Text message",
    ActivityType.SYSTEM: "System",
}
# What each is called once it is done (rule 0.42).
_DONE = {**_VERBS, ActivityType.CALL: "Call made", ActivityType.EMAIL: "E-mail sent", ActivityType.MEETING: "Meeting held"} | {
    ActivityType.FOLLOW_UP: "Follow-up done", ActivityType.TASK: "Task done", ActivityType.SMS: "Text message sent",
}  # fmt: skip


def word_of(activity_type: str, status: str) -> str:
    """Document 0's word for an activity."""
    return TIMELINE_WORDS[ActivityType(activity_type)][status != ActivityStatus.COMPLETED]


def sentence(activity: Activity) -> str:
    """`Call made (15 minutes): Discussed pricing options`."""
    kind = ActivityType(activity.activity_type)
    name = _DONE[kind] if activity.status == ActivityStatus.COMPLETED else _VERBS[kind]
    if activity.status == ActivityStatus.CANCELLED:
        name = f"{name} cancelled"
    length = f" ({minutes_text(activity.duration)})" if activity.duration else ""
    text = plain_text(activity.description or activity.outcome)
    return f"{name}{length}: {text}" if text else f"{name}{length}"


def _rows(record: Lead, reader: Actor, wanted: Wanted) -> QuerySet[Activity]:
    if not reader.can(VIEW):
        return Activity.objects.none()
    rows = Activity.objects.filter(wanted.span("occurred_at"), lead=record)
    if wanted.kinds or wanted.categories:
        chosen = Q(pk__in=[])
        for kind, (done, other) in TIMELINE_WORDS.items():
            if wanted.categories and CATEGORIES[kind] not in wanted.categories:
                continue
            is_done = Q(activity_type=kind, status=ActivityStatus.COMPLETED)
            if not wanted.kinds or {kind.value, done} & wanted.kinds:
                chosen |= is_done
            if not wanted.kinds or {kind.value, other} & wanted.kinds:
                chosen |= Q(activity_type=kind) & ~Q(status=ActivityStatus.COMPLETED)
        rows = rows.filter(chosen)
    if not wanted.include_system:
        rows = rows.exclude(activity_type=ActivityType.SYSTEM)
    return rows


def activity_entries(*, record: Lead, reader: Actor, wanted: Wanted, before: Position | None, order: int, most: int) -> Iterator[Entry]:
    """The lead's activities: where they were recorded, and once done, where they were done."""
    rows = _rows(record, reader, wanted)
    if before is not None:
        rows = rows.filter(before.behind(at="occurred_at", key="pk", order=order))
    found = list(rows.select_related("user").order_by("-occurred_at", "-pk")[:most])
    if wanted.is_everything and before is None and len(found) < most and reader.can(VIEW):
        note_all_activities(record, found)
    for activity in found:
        yield entry_of(activity, order)


def entry_of(activity: Activity, order: int) -> Entry:
    details = {
        "type": activity.activity_type,
        "status": activity.status,
        "priority": activity.get_priority_display().lower(),
        "duration": minutes_text(activity.duration),
        "outcome": activity.outcome,
        "next_follow_up_date": activity.due_at if activity.is_open else None,
        "location": activity.location,
        "notes": activity.notes,
    }
    return Entry(
        id=f"activity_{activity.pk}",
        kind=word_of(activity.activity_type, activity.status),
        category=CATEGORIES[ActivityType(activity.activity_type)],
        position=Position(at=activity.occurred_at, order=order, key=activity.pk),
        text=sentence(activity),
        user_id=activity.user_id,
        actor=activity.user.full_name if activity.user else "",
        is_system=activity.activity_type == ActivityType.SYSTEM,
        data={
            **{name: value for name, value in details.items() if value not in ("", None)},
            "activity_id": activity.pk,
            "text": activity.description,
        },
        template="activities/_entry.html",
    )


def activity_tallies(*, record: Lead, reader: Actor, wanted: Wanted, recent: datetime) -> list[Tally]:
    counted = (
        _rows(record, reader, wanted)
        .order_by()
        .values("activity_type", "status")
        .annotate(
            number=Count("pk"), lately=Count("pk", filter=Q(occurred_at__gte=recent)), first=Min("occurred_at"), last=Max("occurred_at")
        )
    )
    return [
        Tally(
            kind=word_of(row["activity_type"], row["status"]),
            category=CATEGORIES[ActivityType(row["activity_type"])],
            number=row["number"],
            recent=row["lately"],
            first=row["first"],
            last=row["last"],
        )
        for row in counted
    ]


def _words(*kinds: ActivityType) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for kind in kinds for word in TIMELINE_WORDS[kind]))


SOURCE = TimelineSource(
    name="activities",
    order=30,
    words=(*ActivityType.values, *_words(*ActivityType)),
    entries=activity_entries,
    tallies=activity_tallies,
    shows=(
        ("conversations", _("Conversations"), _words(ActivityType.CALL, ActivityType.EMAIL, ActivityType.MEETING, ActivityType.SMS)),
        ("notes", _("Notes"), _words(ActivityType.NOTE)),
        ("tasks", _("Tasks"), _words(ActivityType.TASK, ActivityType.FOLLOW_UP)),
        ("changes", _("Changes"), _words(ActivityType.STATUS_CHANGE, ActivityType.ASSIGNMENT)),
    ),
)
