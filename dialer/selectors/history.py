"""Calls that are over: one page of them and their exact number, at any depth.

Without words to look for, the ledger of calls by day says how many there are and on which days a page lies, so that only those days
are read. Words are looked up by functions of the owner (`dialer/migrations/0003`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm.actors import Actor
from crm.normal import clean_text
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_tenant_id
from dialer.enums import CallOutcome, CallResult
from dialer.models import Call
from dialer.permissions import CALL
from dialer.selectors.ledgers import Span, sums
from dialer.selectors.queues import MOST_CANDIDATES, ask, queue_ids, require_sight
from leads.filters import search_query

Row = tuple[int, datetime]
# Nobody's id: where only queues are asked for.
_NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class CallsAsked:
    """What narrows the history. Days are of the tenant's zone, both whole."""

    agent_id: int | None = None
    outcome: str = ""
    since: date | None = None
    until: date | None = None
    search: str = ""


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """The calls that count: of every queue, or of these and the actor's own; of one agent and with these results where named."""

    queues: list[int] | None
    user_id: int
    agent_id: int | None
    results: list[str] | None
    since: date | None
    until: date | None
    zone: ZoneInfo

    def moment(self, day: date | None, *, after: bool = False) -> datetime | None:
        """When a day of the tenant's zone begins, or is over."""
        if day is None or (after and day == date.max):
            return None
        return datetime.combine(day + timedelta(days=1) if after else day, time(0), tzinfo=self.zone).astimezone(UTC)

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def history_page(*, actor: Actor, asked: CallsAsked, page: int, per_page: int) -> tuple[list[Call], int]:
    """One page of the calls an actor sees, the newest first, and how many there are. Live calls, and those never placed, are not among them."""
    require_sight(by=actor)
    skip = (page - 1) * per_page
    sight = _sight_of(actor, asked)
    words = clean_text(asked.search)
    rows, total = _searched(sight, words, skip, per_page) if words else _by_days(sight, skip, per_page)
    return calls_in_order([pk for pk, _ in rows]), total


def found_ids(*, actor: Actor, asked: CallsAsked, most: int = MOST_CANDIDATES) -> list[int]:
    """The newest calls that a search finds, at most so many."""
    return [pk for pk, _ in _searched(_sight_of(actor, asked), clean_text(asked.search), 0, most)[0]]


def calls_in_order(ids: Sequence[int]) -> list[Call]:
    """Load calls with the ids that answers show, in this order."""
    found = {call.pk: call for call in Call.objects.filter(pk__in=ids).select_related("entry", "agent").defer("search", "entry__search")}
    return [found[pk] for pk in ids if pk in found]


def _sight_of(actor: Actor, asked: CallsAsked) -> _Sight:
    queues = queue_ids(actor)
    return _Sight(
        queues=queues,
        user_id=actor.user_id if queues is not None and actor.can(CALL) and actor.user_id else _NOBODY,
        agent_id=asked.agent_id,
        results=[result for result in CallResult if result.outcome == asked.outcome] if asked.outcome else None,
        since=asked.since,
        until=asked.until,
        zone=ZoneInfo(current_tenant().time_zone),
    )


def results_of(outcome: CallOutcome) -> list[CallResult]:
    return [result for result in CallResult if result.outcome == outcome]


# --- by the ledger ---


def _by_days(sight: _Sight, skip: int, most: int) -> tuple[list[Row], int]:
    return _page_of_days(sight, _days(sight), [], skip, most)


def _days(sight: _Sight) -> "Counter[date]":
    """How many calls each day has, of those in sight."""
    span = Span(
        queues=sight.queues,
        user_id=None if sight.user_id == _NOBODY else sight.user_id,
        agent_id=sight.agent_id,
        results=sight.results,
        since=sight.since,
        until=sight.until,
    )
    return Counter({day: calls for (day,), (calls, _seconds) in sums(span, "day").items()})


def _page_of_days(sight: _Sight, days: "Counter[date]", also: Sequence[Row], skip: int, most: int) -> tuple[list[Row], int]:
    """The page's rows: from the days on which it lies, with the rows `also` that were found by other ways."""
    days = days + Counter(sight.day(at) for _, at in also)
    total = sum(days.values())
    passed, first, last = 0, None, None
    for day in sorted(days, reverse=True):
        if passed + days[day] > skip and last is None:
            last, offset = day, skip - passed
        passed += days[day]
        if last is not None:
            first = day
            if passed >= skip + most:
                break
    if first is None or last is None:
        return [], total
    rows = _walk(sight, first, last, offset + most) + [row for row in also if first <= sight.day(row[1]) <= last]
    rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    return rows[offset : offset + most], total


_WALK = """
SELECT c.id, c.created_at FROM dialer_call AS c
WHERE c.tenant_id = %(tenant)s AND c.outcome <> '' AND c.created_at >= %(since)s AND c.created_at < %(until)s {conditions}
ORDER BY c.created_at DESC, c.id DESC LIMIT %(most)s
"""
# Whose calls are few among all: each queue's along its own index, and one's own beside them.
_WALK_QUEUES = """
SELECT id, created_at FROM (
    SELECT own.id, own.created_at FROM unnest(%(queues)s::bigint[]) AS queue (id) CROSS JOIN LATERAL (
        SELECT c.id, c.created_at FROM dialer_call AS c
        WHERE c.tenant_id = %(tenant)s AND c.agent_id = queue.id AND c.outcome <> '' AND c.created_at >= %(since)s
            AND c.created_at < %(until)s {conditions}
        ORDER BY c.created_at DESC, c.id DESC LIMIT %(most)s) AS own
    UNION ALL
    (SELECT c.id, c.created_at FROM dialer_call AS c
    WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND (c.agent_id IS NULL OR c.agent_id <> ALL (%(queues)s::bigint[]))
        AND c.outcome <> '' AND c.created_at >= %(since)s AND c.created_at < %(until)s {conditions}
    ORDER BY c.created_at DESC, c.id DESC LIMIT %(most)s)
) AS every ORDER BY created_at DESC, id DESC LIMIT %(most)s
"""


def _walk(sight: _Sight, first: date, last: date, most: int) -> list[Row]:
    """The newest calls in sight on the days from `first` to `last`."""
    if not sight.queues and sight.queues is not None and sight.user_id == _NOBODY:
        return []
    given: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": sight.moment(first),
        "until": sight.moment(last, after=True) or datetime.max.replace(tzinfo=UTC),
        "most": most,
        "queues": sight.queues,
        "user": sight.user_id,
    }
    conditions = ""
    if sight.agent_id is not None:
        conditions += " AND c.agent_id = %(agent)s"
        given["agent"] = sight.agent_id
    if sight.results is not None:
        conditions += " AND c.result = ANY (%(results)s::varchar[])"
        given["results"] = sight.results
    sql = _WALK if sight.queues is None else _WALK_QUEUES
    return [(pk, at) for pk, at in ask(sql.format(conditions=conditions), given)]


# --- by words ---

_FEW = (
    "SELECT id, created_at FROM dialer_calls_few("
    "%s::tsquery, %s::bigint[], %s, %s, %s::varchar[], %s::timestamptz, %s::timestamptz, %s::bigint[], %s)"
)
_COUNT = "SELECT dialer_calls_count(%s::tsquery, %s::bigint[], %s, %s, %s::varchar[], %s::timestamptz, %s::timestamptz, %s::bigint[])"
_PAGE = (
    "SELECT id, created_at FROM dialer_calls_page("
    "%s::tsquery, %s::bigint[], %s, %s, %s::varchar[], %s::timestamptz, %s::timestamptz, %s::bigint[], %s, %s)"
)


def _searched(sight: _Sight, words: str, skip: int, most: int) -> tuple[list[Row], int]:
    """Calls of people with this name or number, and all calls of agents with this name."""
    query = search_query(words)
    if query is None:
        return [], 0
    by_agent = replace(sight, queues=_agents_named(query, sight), user_id=_NOBODY)
    days = _days(by_agent) if by_agent.queues else Counter()
    given = [
        query, sight.queues, sight.user_id, sight.agent_id, sight.results, sight.moment(sight.since), sight.moment(sight.until, after=True),
        by_agent.queues or None,
    ]  # fmt: skip
    few = ask(_FEW, [*given, MOST_CANDIDATES + 1])
    if len(few) <= MOST_CANDIDATES:
        return _page_of_days(by_agent, days, [(pk, at) for pk, at in few], skip, most)
    total = ask(_COUNT, given)[0][0] + sum(days.values())
    if skip >= total:
        return [], total
    # Both in one order: as many of each as the page could need.
    asked_for = (0, skip + most) if days else (skip, most)
    rows = [(pk, at) for pk, at in ask(_PAGE, [*given, *asked_for])]
    if days:
        rows = sorted(rows + _page_of_days(by_agent, days, [], *asked_for)[0], key=lambda row: (row[1], row[0]), reverse=True)
        rows = rows[skip : skip + most]
    return rows, total


def _agents_named(query: str, sight: _Sight) -> list[int]:
    """The agents in sight whose names hold the words, deleted ones included."""
    sql = "SELECT id FROM dialer_callingagent WHERE tenant_id = %s AND dialer_search_vector(name, '') @@ %s::tsquery"
    found = {pk for (pk,) in ask(sql, [current_tenant_id(), query])}
    if sight.queues is not None:
        found &= set(sight.queues)
    if sight.agent_id is not None:
        found &= {sight.agent_id}
    return sorted(found)
