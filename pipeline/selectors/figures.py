"""The figures of stages: exact numbers over a span of days in the tenant's zone.

Whole days in UTC come from the daily ledger; the parts of the first and the last day that the tenant's zone cuts are counted
from the stays themselves. Who sees their own leads only is told of those, by `own`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_tenant_id
from leads.permissions import SEE_ALL
from pipeline.selectors.measures import FIRST, LAST, Kept, Now, Past, Stay, Waiting
from pipeline.selectors.own import own_kept, own_late, own_now, own_past

_NEVER_BEFORE, _NEVER_AFTER = date(1900, 1, 1), date(9000, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Period:
    """Days in the tenant's zone, both ends included; an end left out is open."""

    first: date | None = None
    last: date | None = None
    zone: tzinfo = UTC

    @property
    def start(self) -> datetime | None:
        return datetime.combine(self.first, time(), tzinfo=self.zone) if self.first else None

    @property
    def end(self) -> datetime | None:
        """The first moment after it."""
        return datetime.combine(self.last + timedelta(days=1), time(), tzinfo=self.zone) if self.last else None

    @property
    def asked_for(self) -> dict[str, Any]:
        return {"date_from": self.first, "date_to": self.last}


def read_period(given: Any) -> Period:
    """`date_from` and `date_to` of a query, or InvalidInput by name."""
    days: dict[str, date | None] = {}
    problems: dict[str, list[str]] = {}
    for name in ("date_from", "date_to"):
        text = (given.get(name) or "").strip()
        try:
            days[name] = date.fromisoformat(text) if text else None
            if (found := days[name]) is not None and not _NEVER_BEFORE <= found < _NEVER_AFTER:
                raise ValueError
        except ValueError:
            problems[name] = ["Must be a date such as 2024-01-31."]
    if not problems and days["date_from"] and days["date_to"] and days["date_to"] < days["date_from"]:
        problems["date_to"] = ["Must not lie before date_from."]
    if problems:
        raise InvalidInput(problems)
    return Period(first=days["date_from"], last=days["date_to"], zone=ZoneInfo(current_tenant().time_zone))


@dataclass(frozen=True)
class _Slices:
    """A span of time cut where UTC's days end: whole days, and what is left before and after them."""

    days: tuple[date, date]
    edges: tuple[tuple[datetime, datetime], ...]


def _slices(start: datetime | None, end: datetime | None) -> _Slices:
    """The days are a half-open span, which may be empty."""
    first = _NEVER_BEFORE
    if start is not None:
        first = start.astimezone(UTC).date()
        if _day_start(first) < start:
            first += timedelta(days=1)
    last = end.astimezone(UTC).date() if end is not None else _NEVER_AFTER
    if first >= last and start is not None and end is not None:
        return _Slices((first, first), ((start, end),))
    edges = []
    if start is not None and start < _day_start(first):
        edges.append((start, _day_start(first)))
    if end is not None and _day_start(last) < end:
        edges.append((_day_start(last), end))
    return _Slices((first, last), tuple(edges))


def _day_start(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


_LEDGER = """
SELECT status_id, left_to_id, sum(entries), sum(exits), sum(spent), sum(over_24h), sum(over_48h)
FROM pipeline_stageday WHERE tenant_id = %(tenant)s AND day >= %(first)s AND day < %(last)s GROUP BY status_id, left_to_id
"""
_OVER = "count(*) FILTER (WHERE duration > interval '24 hours'), count(*) FILTER (WHERE duration > interval '48 hours')"
_ENTRIES = """
SELECT status_id, NULL::bigint, count(*), 0, interval '0', 0, 0 FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND is_counted AND entered_at >= %({start})s AND entered_at < %({end})s GROUP BY status_id
"""
_EXITS = f"""
SELECT status_id, left_to_id, 0, count(*), sum(duration), {_OVER} FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND is_counted AND exited_at >= %({{start}})s AND exited_at < %({{end}})s GROUP BY status_id, left_to_id
"""  # noqa: S608 -- our own names


def past_within(*, start: datetime | None, end: datetime | None, extremes: bool = False, by: Actor) -> Past:
    """What happened in a span of time. Of own leads the ranges and the long stays are told on request; of all `range_within` finds the former."""
    if not by.can(SEE_ALL):
        return own_past(start=start, end=end, extremes=extremes, by=by)
    stays = stays_within(start=start, end=end)
    until = stays if start is None else stays_within(start=None, end=end)
    return Past(stays=stays, present={pk: stay.entries - stay.exits for pk, stay in until.items()})


def stays_within(*, start: datetime | None, end: datetime | None) -> dict[int, Stay]:
    """What happened to all leads in a span of time, by status: entries and exits in it, and the durations of the stays that ended in it."""
    slices = _slices(start, end)
    given: dict[str, Any] = {"tenant": current_tenant_id(), "first": slices.days[0], "last": slices.days[1]}
    parts = [_LEDGER]
    for number, (since, until) in enumerate(slices.edges):
        given |= {f"start{number}": since, f"end{number}": until}
        parts += [text.format(start=f"start{number}", end=f"end{number}") for text in (_ENTRIES, _EXITS)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), given)
        return _summed(cursor.fetchall())


def _summed(rows: Iterable[tuple[Any, ...]]) -> dict[int, Stay]:
    found: dict[int, Stay] = {}
    for status_id, left_to, entries, exits, spent, over_24h, over_48h in rows:
        stay = found.setdefault(status_id, Stay())
        stay.entries += int(entries)
        stay.exits += int(exits)
        stay.spent += spent
        stay.over_24h += int(over_24h)
        stay.over_48h += int(over_48h)
        if left_to is not None:
            number, time_spent = stay.went_to.get(left_to, (0, timedelta()))
            stay.went_to[left_to] = (number + int(exits), time_spent + spent)
    return {pk: stay for pk, stay in found.items() if stay.entries or stay.exits}


_SHORTEST = """
SELECT status.id, shortest.duration, longest.duration FROM unnest(%(statuses)s::bigint[]) AS status (id)
LEFT JOIN LATERAL ({least}) AS shortest ON true
LEFT JOIN LATERAL ({most}) AS longest ON true
"""
_ENDMOST = """
SELECT duration FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND status_id = status.id AND is_counted AND exited_at >= %(start)s AND exited_at < %(end)s
ORDER BY duration {order} LIMIT 1
"""


def range_within(*, start: datetime | None, end: datetime | None, status_ids: list[int]) -> dict[int, tuple[timedelta, timedelta]]:
    """The shortest and the longest of all stays that ended in a span of time, by status."""
    given: dict[str, Any] = {"tenant": current_tenant_id(), "start": start or FIRST, "end": end or LAST, "statuses": status_ids}
    statement = _SHORTEST.format(least=_ENDMOST.format(order="ASC"), most=_ENDMOST.format(order="DESC"))
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return {pk: (least, most) for pk, least, most in cursor.fetchall() if least is not None}


_USER_LEDGER = """
SELECT user_id, status_id, sum(moves), sum(exits), sum(spent) FROM pipeline_stageuserday
WHERE tenant_id = %(tenant)s AND day >= %(first)s AND day < %(last)s {who} GROUP BY user_id, status_id
"""
_USER_MOVES = """
SELECT user_id, status_id, count(*), 0, interval '0' FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND is_counted AND entered_at >= %({start})s AND entered_at < %({end})s
    AND user_id IS NOT NULL AND came_from_id IS NOT NULL {who} GROUP BY user_id, status_id
"""
_USER_EXITS = """
SELECT user_id, status_id, 0, count(*), sum(duration) FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND is_counted AND exited_at >= %({start})s AND exited_at < %({end})s
    AND user_id IS NOT NULL {who} GROUP BY user_id, status_id
"""


@dataclass(kw_only=True)
class Worked:
    """What a person did with a status: moves into it, and how long the stays that they began lasted."""

    moves: int = 0
    exits: int = 0
    spent: timedelta = timedelta()


def work_within(*, start: datetime | None, end: datetime | None, user_id: int | None) -> dict[int, dict[int, Worked]]:
    """By person and status: the moves made in a span of time, and the stays begun by the person that ended in it."""
    slices = _slices(start, end)
    given: dict[str, Any] = {"tenant": current_tenant_id(), "first": slices.days[0], "last": slices.days[1], "user": user_id}
    who = "AND user_id = %(user)s" if user_id is not None else ""
    parts = [_USER_LEDGER.format(who=who)]
    for number, (since, until) in enumerate(slices.edges):
        given |= {f"start{number}": since, f"end{number}": until}
        parts += [text.format(who=who, start=f"start{number}", end=f"end{number}") for text in (_USER_MOVES, _USER_EXITS)]
    found: dict[int, dict[int, Worked]] = {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), given)
        for person, status_id, moves, exits, spent in cursor.fetchall():
            work = found.setdefault(person, {}).setdefault(status_id, Worked())
            work.moves += int(moves)
            work.exits += int(exits)
            work.spent += spent
    return found


_SPANS = """
SELECT status_id, sum(stays), sum(stays) FILTER (WHERE hours <= %(hours)s) FROM pipeline_stagespan
WHERE tenant_id = %(tenant)s GROUP BY status_id
"""


def kept_to(*, now: datetime, hours: int, status_ids: list[int], by: Actor) -> dict[int, Kept]:
    """By status: how the stays kept to so many hours."""
    if not by.can(SEE_ALL):
        return own_kept(now=now, hours=hours, by=by)
    with connection.cursor() as cursor:
        cursor.execute(_SPANS, {"tenant": current_tenant_id(), "hours": hours})
        ended = {pk: (int(ended), int(within or 0)) for pk, ended, within in cursor.fetchall()}
    waiting = waiting_now(now=now, status_ids=status_ids, over=(hours,))
    return {
        pk: Kept(
            ended=ended[pk][0] if pk in ended else 0,
            within=ended[pk][1] if pk in ended else 0,
            waiting=waiting[pk].leads if pk in waiting else 0,
            late=waiting[pk].over[0] if pk in waiting else 0,
        )
        for pk in {*ended, *waiting}
    }


def late_now(*, now: datetime, hours: int, status_ids: list[int], by: Actor) -> int:
    """How many leads have been in one of these statuses for more than so many hours."""
    if not by.can(SEE_ALL):
        return own_late(before=now - timedelta(hours=hours), status_ids=status_ids, by=by)
    return sum(waiting.over[0] for waiting in waiting_now(now=now, status_ids=status_ids, over=(hours,)).values())


# Whole days are added up from the ledger; of the day in which the limit lies, the stays before it are counted.
_WAITING = """
SELECT kept.status_id, kept.leads, kept.since, oldest.entered_at {over}
FROM (
    SELECT status_id, sum(waiting)::bigint AS leads,
           sum(waiting * extract(epoch FROM day) + extract(epoch FROM waiting_from)) / nullif(sum(waiting), 0) AS since {kept}
    FROM pipeline_stageday WHERE tenant_id = %(tenant)s AND left_to_id IS NULL AND status_id = ANY(%(statuses)s)
    GROUP BY status_id HAVING sum(waiting) > 0
) AS kept
CROSS JOIN LATERAL (
    SELECT entered_at FROM pipeline_leadstage AS stage
    WHERE tenant_id = %(tenant)s AND stage.status_id = kept.status_id AND is_counted AND exited_at IS NULL ORDER BY entered_at LIMIT 1
) AS oldest
"""
_LATE_DAYS = "coalesce(sum(waiting) FILTER (WHERE day < %(day{number})s), 0)::bigint AS late{number}"
_LATE_PART = """kept.late{number} + (
    SELECT count(*) FROM pipeline_leadstage AS stage
    WHERE tenant_id = %(tenant)s AND stage.status_id = kept.status_id AND is_counted AND exited_at IS NULL
        AND entered_at >= %(start{number})s AND entered_at < %(limit{number})s
)"""


def waiting_now(*, now: datetime, status_ids: list[int], over: tuple[int, ...] = ()) -> dict[int, Waiting]:
    """All stays under way in these statuses, and of each how many have taken more than so many hours."""
    given: dict[str, Any] = {"tenant": current_tenant_id(), "statuses": status_ids}
    kept = parts = ""
    for number, hours in enumerate(over):
        limit = now - timedelta(hours=hours)
        day = limit.astimezone(UTC).date()
        given |= {f"limit{number}": limit, f"day{number}": day, f"start{number}": _day_start(day)}
        kept += ", " + _LATE_DAYS.format(number=number)
        parts += ", " + _LATE_PART.format(number=number)
    with connection.cursor() as cursor:
        cursor.execute(_WAITING.format(over=parts, kept=kept), given)
        return {
            pk: Waiting(leads=leads, average=now - datetime.fromtimestamp(float(since), UTC), oldest=oldest, over=tuple(late))
            for pk, leads, since, oldest, *late in cursor.fetchall()
        }


def present_state(*, now: datetime, since: datetime, status_ids: list[int], over: tuple[int, ...], by: Actor) -> Now:
    """Where leads are now, in these statuses, and what came and went since a moment."""
    if not by.can(SEE_ALL):
        return own_now(now=now, since=since, over=over, by=by)
    return Now(waiting=waiting_now(now=now, status_ids=status_ids, over=over), lately=stays_within(start=since, end=now))
