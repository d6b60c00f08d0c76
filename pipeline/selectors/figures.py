"""The figures of stages: exact numbers over a span of days in the tenant's zone.

Whole days in UTC come from the daily ledger; the parts of the first and the last day that the tenant's zone cuts are counted
from the stays themselves. Who sees their own leads only is told of those, counted from their stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_tenant_id
from leads.permissions import SEE_ALL

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


@dataclass(kw_only=True)
class Stay:
    """Sums over the stays in one status."""

    entries: int = 0
    exits: int = 0
    spent: timedelta = timedelta()
    over_24h: int = 0
    over_48h: int = 0
    # Where the stays went that ended: how many, and the time they had taken.
    went_to: dict[int, tuple[int, timedelta]] = field(default_factory=dict)

    @property
    def average_hours(self) -> float | None:
        return hours_of(self.spent / self.exits) if self.exits else None


def hours_of(span: timedelta) -> float:
    """In hours with two decimals."""
    return round(span.total_seconds() / 3600, 2)


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
SELECT status_id, NULL::bigint, count(*), 0, interval '0', 0, 0 FROM {stays}
WHERE tenant_id = %(tenant)s AND is_counted AND entered_at >= %({start})s AND entered_at < %({end})s GROUP BY status_id
"""
_EXITS = f"""
SELECT status_id, left_to_id, 0, count(*), sum(duration), {_OVER} FROM {{stays}}
WHERE tenant_id = %(tenant)s AND is_counted AND exited_at >= %({{start}})s AND exited_at < %({{end}})s GROUP BY status_id, left_to_id
"""  # noqa: S608 -- our own names
_OWN_STAYS = """(
    SELECT stage.* FROM (SELECT id FROM leads_lead WHERE tenant_id = %(tenant)s AND owner_id = %(owner)s AND deleted_at IS NULL OFFSET 0) AS own
    JOIN pipeline_leadstage AS stage ON stage.tenant_id = %(tenant)s AND stage.lead_id = own.id
) AS stays"""
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def stays_within(*, start: datetime | None, end: datetime | None, by: Actor) -> dict[int, Stay]:
    """What happened in a span of time, by status: entries and exits in it, and the durations of the stays that ended in it."""
    given: dict[str, Any] = {"tenant": current_tenant_id(), "owner": by.user_id}
    if by.can(SEE_ALL):
        slices = _slices(start, end)
        given |= {"first": slices.days[0], "last": slices.days[1]}
        parts = [_LEDGER]
        for number, (since, until) in enumerate(slices.edges):
            given |= {f"start{number}": since, f"end{number}": until}
            parts += [text.format(stays="pipeline_leadstage", start=f"start{number}", end=f"end{number}") for text in (_ENTRIES, _EXITS)]
        statement = " UNION ALL ".join(parts)
    else:
        given |= {"start": start or _FIRST, "end": end or _LAST}
        own = [text.format(stays="stays", start="start", end="end") for text in (_ENTRIES, _EXITS)]
        statement = f"WITH stays AS MATERIALIZED (SELECT * FROM {_OWN_STAYS}) {' UNION ALL '.join(own)}"  # noqa: S608 -- our own names
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
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
_OWN_RANGE = f"""
SELECT status_id, min(duration), max(duration) FROM {_OWN_STAYS}
WHERE is_counted AND exited_at >= %(start)s AND exited_at < %(end)s GROUP BY status_id
"""  # noqa: S608 -- our own names


def range_within(
    *, start: datetime | None, end: datetime | None, status_ids: list[int], by: Actor
) -> dict[int, tuple[timedelta, timedelta]]:
    """The shortest and the longest of the stays that ended in a span of time, by status."""
    given = {
        "tenant": current_tenant_id(), "owner": by.user_id, "start": start or _FIRST, "end": end or _LAST, "statuses": status_ids,
    }  # fmt: skip
    statement = _OWN_RANGE
    if by.can(SEE_ALL):
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
_OWN_SPANS = f"""
SELECT status_id, count(*), count(*) FILTER (WHERE duration <= make_interval(hours => %(hours)s)) FROM {_OWN_STAYS}
WHERE is_counted AND exited_at IS NOT NULL GROUP BY status_id
"""  # noqa: S608 -- our own names


def ended_within_hours(*, hours: int, by: Actor) -> dict[int, tuple[int, int]]:
    """By status: the stays that ended, and of those the ones that took no more than so many hours."""
    with connection.cursor() as cursor:
        cursor.execute(_SPANS if by.can(SEE_ALL) else _OWN_SPANS, {"tenant": current_tenant_id(), "owner": by.user_id, "hours": hours})
        return {pk: (int(ended), int(within or 0)) for pk, ended, within in cursor.fetchall() if ended}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Leads that are in a status now."""

    leads: int
    average: timedelta
    oldest: datetime
    over: tuple[int, ...]


_WAITING = """
SELECT status_id, count(*), %(now)s - (to_timestamp(0) + make_interval(secs => avg(date_part('epoch', entered_at)))), min(entered_at), {over}
FROM {stays} WHERE tenant_id = %(tenant)s AND is_counted AND exited_at IS NULL AND status_id = ANY(%(statuses)s) GROUP BY status_id
"""


def waiting_now(*, now: datetime, status_ids: list[int], over: tuple[int, ...] = (), by: Actor) -> dict[int, Waiting]:
    """The stays under way in these statuses, and of each how many have taken more than so many hours."""
    given: dict[str, Any] = {"tenant": current_tenant_id(), "owner": by.user_id, "now": now, "statuses": status_ids}
    given |= {f"over{hours}": now - timedelta(hours=hours) for hours in over}
    counts = ", ".join(f"count(*) FILTER (WHERE entered_at < %(over{hours})s)" for hours in over) or "0"
    stays = "pipeline_leadstage" if by.can(SEE_ALL) else _OWN_STAYS
    with connection.cursor() as cursor:
        cursor.execute(_WAITING.format(over=counts, stays=stays), given)
        return {
            pk: Waiting(leads=leads, average=average, oldest=oldest, over=tuple(counted))
            for pk, leads, average, oldest, *counted in cursor.fetchall()
        }
