"""Calendars: whose, which days, and what stands in them, in the reader's own zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity
from activities.permissions import VIEW
from activities.services.mentions import plain_text
from crm.actors import Actor
from crm.errors import NotFound
from crm.identity.models import Team, TeamMember, User
from crm.identity.selectors import active_users
from leads.permissions import SEE_ALL
from leads.permissions import VIEW as VIEW_LEADS
from leads.selectors import leads_visible_to, name_of

# What one look at a calendar shows at most.
MOST = 2000
# How long things take whose length nobody gave, in minutes.
_LENGTHS = {ActivityType.MEETING: 60, ActivityType.CALL: 15}
_USUAL_LENGTH = 30
_COLUMNS = ("pk", "lead_id", "user_id", "activity_type", "description", "due_at", "duration", "status", "priority")
_LEAD = ("first_name", "last_name", "company", "email", "phone")
_NAMES = tuple(f"lead__{column}" for column in _LEAD)
_SHOWN = (ActivityStatus.PENDING, ActivityStatus.COMPLETED)


class Span(StrEnum):
    MONTH = "month"
    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An activity with a time. Without sight of its lead, it names none and cannot be changed."""

    id: int
    lead_id: int | None
    lead_name: str
    user_id: int | None
    kind: ActivityType
    text: str
    at: datetime
    minutes: int
    is_done: bool
    priority: int

    @property
    def ends_at(self) -> datetime:
        return self.at + timedelta(minutes=self.minutes)


# --- days ---


def days_of(span: Span, on: date, *, first_weekday: int) -> list[date]:
    """The days that a look around a day shows: that day, its week, or its month in whole weeks."""
    if span is Span.DAY:
        return [on]
    first = on if span is Span.WEEK else on.replace(day=1)
    start = first - timedelta(days=(first.weekday() - first_weekday) % 7)
    if span is Span.WEEK:
        return [start + timedelta(days=number) for number in range(7)]
    last = step(Span.MONTH, on, 1).replace(day=1) - timedelta(days=1)
    weeks = (last - start).days // 7 + 1
    return [start + timedelta(days=number) for number in range(7 * weeks)]


def step(span: Span, on: date, number: int) -> date:
    """The day to look around after going so many days, weeks or months on. A month that is too short gives its last day."""
    if span is not Span.MONTH:
        return on + timedelta(days=number * (7 if span is Span.WEEK else 1))
    year, month = divmod(on.year * 12 + on.month - 1 + number, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(days=on.day - 1), following - timedelta(days=1))


def moment_at(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A local time as a moment. One that a change of the clocks leaves out comes an hour later; of one that comes twice, the first counts."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def bounds(days: Sequence[date], zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moment of these days, and the first after them."""
    return moment_at(days[0], time(), zone), moment_at(days[-1] + timedelta(days=1), time(), zone)


def has_hour(day: date, hour: int, zone: ZoneInfo) -> bool:
    """Whether that hour is there on that day."""
    return moment_at(day, time(hour), zone).astimezone(zone).hour == hour


def moved_to(at: datetime, *, day: date, hour: int | None, zone: ZoneInfo) -> datetime:
    """When something is that was dragged to a day, at its own time, or to an hour. Within its own hour it keeps its minutes."""
    local = at.astimezone(zone)
    if local.date() == day and hour in (None, local.hour):
        return at
    kept = local.time() if hour in (None, local.hour) else time(hour or 0)
    return moment_at(day, kept.replace(fold=0), zone)


# --- whose ---


@dataclass(frozen=True, kw_only=True)
class Whose:
    """The people whose calendar is looked at, and how it is called."""

    code: str
    label: str
    user_ids: tuple[int, ...]


def choices_of_whose(actor: Actor) -> tuple[list[User], list[Team]]:
    """Colleagues, and the teams that an actor may look at together: their own, or all for who sees all leads."""
    people = list(active_users().exclude(pk=actor.user_id or 0).order_by("first_name", "last_name", "pk")[:500])
    teams = Team.objects.order_by("name", "pk")
    return people, list(teams if actor.can(SEE_ALL) else teams.filter(pk__in=actor.team_ids))


def find_whose(code: str, *, people: Sequence[User], teams: Sequence[Team], actor: Actor) -> Whose:
    """Read `""` (one's own), a person's id, or `team-` and a team's. Raises NotFound."""
    if not code:
        return Whose(code="", label="", user_ids=(actor.user_id,) if actor.user_id else ())
    team = next((item for item in teams if f"team-{item.pk}" == code), None)
    if team is not None:
        members = TeamMember.objects.filter(team=team, user__is_active=True).values_list("user_id", flat=True)
        return Whose(code=code, label=team.name, user_ids=tuple(members))
    person = next((item for item in people if str(item.pk) == code), None)
    if person is None:
        raise NotFound("Calendar not found.")
    return Whose(code=code, label=person.full_name, user_ids=(person.pk,))


# --- entries ---


def entries_between(*, start: datetime, end: datetime, user_ids: Sequence[int], most: int = MOST, actor: Actor) -> list[Entry]:
    """What stands in these people's calendars, by time; the earliest so many.

    Of others, what hangs on leads in the actor's sight; of one's own everything, without naming leads out of sight.
    """
    if not user_ids or not actor.can(VIEW) or not actor.can(VIEW_LEADS):
        return []
    rows = Activity.objects.filter(user_id__in=user_ids, due_at__gte=start, due_at__lt=end, lead__deleted_at=None)
    rows = rows.annotate(seen=Exists(leads_visible_to(actor).filter(pk=OuterRef("lead_id"))))
    rows = rows.filter(Q(seen=True) | Q(user_id=actor.user_id))
    # Open and done have an index each.
    walks = [rows.filter(status=status).order_by("due_at", "pk").values(*_COLUMNS, "seen", *_NAMES)[:most] for status in _SHOWN]
    return [_entry_of(row) for row in islice(merge(*walks, key=lambda row: (row["due_at"], row["pk"])), most)]


def _entry_of(row: dict[str, Any]) -> Entry:
    kind = ActivityType(row["activity_type"])
    return Entry(
        id=row["pk"],
        lead_id=row["lead_id"] if row["seen"] else None,
        lead_name=name_of({column: row[f"lead__{column}"] for column in _LEAD}) if row["seen"] else "",
        user_id=row["user_id"],
        kind=kind,
        text=plain_text(row["description"]),
        at=row["due_at"],
        minutes=row["duration"] or usual_length(kind),
        is_done=row["status"] == ActivityStatus.COMPLETED,
        priority=row["priority"],
    )


def usual_length(kind: str) -> int:
    """How many minutes such things take where nobody said."""
    return _LENGTHS.get(ActivityType(kind), _USUAL_LENGTH)
