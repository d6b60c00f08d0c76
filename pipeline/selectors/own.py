"""The figures of somebody's own leads, counted from their stays in one pass: each lead's lie side by side in one index."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from pipeline.selectors.measures import FIRST, LAST, Kept, Now, Past, Stay, Waiting

# The ids as one array: the index is walked once for all of them, which costs half of what a probe for each lead does.
_STAYS = """
FROM pipeline_leadstage
WHERE tenant_id = %(tenant)s AND is_counted
    AND lead_id = ANY(ARRAY(SELECT id FROM leads_lead WHERE tenant_id = %(tenant)s AND owner_id = %(owner)s AND deleted_at IS NULL))
"""
# What each stay says is made once, below the sums, for which `OFFSET 0` keeps it: worked out in every one of them it took as long as
# the walk itself. The time taken is made of its ends, which the index holds.
_WITHIN = f"""
FROM (
    SELECT status_id, left_to_id, entered_at, exited_at, entered_at >= %(start)s AND entered_at < %(end)s AS came,
           CASE WHEN exited_at >= %(start)s AND exited_at < %(end)s THEN exited_at - entered_at END AS took
    {_STAYS} OFFSET 0
) AS stay GROUP BY status_id, left_to_id
"""
_PAST = """
SELECT status_id, left_to_id, count(*) FILTER (WHERE came), count(took), sum(took),
       count(*) FILTER (WHERE entered_at < %(end)s) - count(*) FILTER (WHERE exited_at < %(end)s)
"""
_EXTREMES = """,
       min(took), max(took), count(*) FILTER (WHERE took > interval '24 hours'), count(*) FILTER (WHERE took > interval '48 hours')
"""


def own_past(*, start: datetime | None, end: datetime | None, extremes: bool, by: Actor) -> Past:
    """What happened to the actor's own leads in a span of time; on request with the shortest, the longest and the long stays."""
    past = Past()
    statement, given = _PAST + (_EXTREMES if extremes else "") + _WITHIN, {"start": start or FIRST, "end": end or LAST}
    for status_id, left_to, entries, exits, spent, present, *told in _rows(statement, given, by):
        past.present[status_id] = past.present.get(status_id, 0) + present
        if not entries and not exits:
            continue
        stay = past.stays.setdefault(status_id, Stay())
        stay.entries += entries
        if exits:
            stay.exits += exits
            stay.spent += spent
            stay.went_to[left_to] = (exits, spent)
        if exits and told:
            least, most, over_24h, over_48h = told
            stay.over_24h += over_24h
            stay.over_48h += over_48h
            before = past.ranges.get(status_id, (least, most))
            past.ranges[status_id] = min(before[0], least), max(before[1], most)
    return past


_OPEN = "FILTER (WHERE exited_at IS NULL)"


def own_now(*, now: datetime, since: datetime, over: tuple[int, ...], by: Actor) -> Now:
    """Where the actor's own leads are now, and what came and went since a moment."""
    counts = ", ".join(f"count(*) FILTER (WHERE exited_at IS NULL AND entered_at < %(over{hours})s)" for hours in over)
    given = {"now": now, "since": since} | {f"over{hours}": now - timedelta(hours=hours) for hours in over}
    statement = f"""
        SELECT status_id, count(*) {_OPEN}, avg(extract(epoch FROM %(now)s - entered_at)) {_OPEN}, min(entered_at) {_OPEN},
               count(*) FILTER (WHERE entered_at >= %(since)s AND entered_at < %(now)s),
               count(*) FILTER (WHERE exited_at >= %(since)s AND exited_at < %(now)s), {counts}
        {_STAYS} GROUP BY status_id
    """  # noqa: S608 -- our own names
    found = Now()
    for status_id, leads, average, oldest, came, went, *late in _rows(statement, given, by):
        found.lately[status_id] = Stay(entries=came, exits=went)
        if leads:
            found.waiting[status_id] = Waiting(leads=leads, average=timedelta(seconds=float(average)), oldest=oldest, over=tuple(late))
    return found


_LATE = f"SELECT count(*) {_STAYS} AND exited_at IS NULL AND entered_at < %(before)s AND status_id = ANY(%(statuses)s)"


def own_late(*, before: datetime, status_ids: list[int], by: Actor) -> int:
    """How many of the actor's own leads came into one of these statuses before a moment and are there still."""
    number: int = _rows(_LATE, {"before": before, "statuses": status_ids}, by)[0][0]
    return number


_KEPT = f"""
SELECT status_id, count(exited_at), count(*) FILTER (WHERE exited_at - entered_at <= make_interval(hours => %(hours)s)),
       count(*) - count(exited_at), count(*) FILTER (WHERE exited_at IS NULL AND entered_at < %(before)s)
{_STAYS} GROUP BY status_id
"""


def own_kept(*, now: datetime, hours: int, by: Actor) -> dict[int, Kept]:
    """By status: how the actor's own leads kept to so many hours."""
    given = {"hours": hours, "before": now - timedelta(hours=hours)}
    return {
        pk: Kept(ended=ended, within=within, waiting=waiting, late=late) for pk, ended, within, waiting, late in _rows(_KEPT, given, by)
    }


def _rows(statement: str, given: dict[str, Any], by: Actor) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tenant": current_tenant_id(), "owner": by.user_id, **given})
        return cursor.fetchall()
