"""What people at work see: their session, what comes next, and who does what just now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Q, Sum, prefetch_related_objects

from crm.actors import Actor
from crm.identity.models import User
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_tenant_id
from dialer.enums import LIVE, CallOutcome, CallResult, EntryStatus
from dialer.models import Call, CallCount, CallingAgent, DialSession, QueueEntry, SessionSpan
from dialer.permissions import COACH
from dialer.selectors.queues import agents_worked_by

# Counting stops here: a longer queue is "so many and more".
MOST_COUNTED = 10_000
_ANSWERED = [result for result in CallResult if result.outcome == CallOutcome.ANSWERED]

_NUMBERS = """
SELECT wanted.agent_id, waiting.n, due.n
FROM unnest(%(agents)s::bigint[]) AS wanted (agent_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT 1 FROM dialer_queueentry AS e WHERE e.tenant_id = %(tenant)s AND e.agent_id = wanted.agent_id
        AND e.deleted_at IS NULL AND e.status <> 'done' LIMIT %(most)s) AS few) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT 1 FROM dialer_queueentry AS e WHERE e.tenant_id = %(tenant)s AND e.agent_id = wanted.agent_id
        AND e.deleted_at IS NULL AND e.status <> 'done' AND e.next_at <= %(now)s LIMIT %(most)s) AS few) AS due
"""


@dataclass(frozen=True)
class QueueNumbers:
    """How many entries wait, how many of them are due, and how many calls are live. None above MOST_COUNTED is counted."""

    waiting: int = 0
    due: int = 0
    live: int = 0


def queue_numbers(agents: Sequence[CallingAgent], now: datetime) -> dict[int, QueueNumbers]:
    """Two queries, however many agents."""
    ids = [agent.pk for agent in agents]
    live = dict(
        Call.objects.filter(status__in=LIVE, agent_id__in=ids)
        .order_by()
        .values_list("agent_id")
        .annotate(n=Count("pk"))
        .values_list("agent_id", "n")
    )
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS, {"agents": ids, "tenant": current_tenant_id(), "now": now, "most": MOST_COUNTED + 1})
        return {
            agent_id: QueueNumbers(waiting=waiting, due=due, live=live.get(agent_id, 0)) for agent_id, waiting, due in cursor.fetchall()
        }


def session_of(user_id: int | None) -> DialSession | None:
    """The session a person is in, with what it stands on."""
    if user_id is None:
        return None
    return (
        DialSession.objects.select_related("agent", "entry__agent", "entry__lead__status", "user")
        .filter(user_id=user_id, ended_at=None)
        .first()
    )


def calls_of_session(session: DialSession) -> list[Call]:
    """Its live calls, the person's own first, and those of which the person still has to say what came, wherever they were made."""
    wanted = Q(status__in=LIVE, session=session) | Q(awaits_outcome=True, user_id=session.user_id)
    calls = (
        Call.objects.select_related("lead__status", "entry__agent", "agent").defer("search", "lead__search").filter(wanted).order_by("-pk")
    )
    return sorted(calls[:10], key=lambda call: (call.answered_at is None, call.pk))


def open_entry_of(actor: Actor, phone: str) -> QueueEntry | None:
    """The entry that waits for this number in a queue the actor works in, and lies in nobody's hands: a call by hand is one of its attempts."""
    entries = QueueEntry.objects.filter(phone=phone, deleted_at=None, held_by="", agent__in=agents_worked_by(actor).filter(is_active=True))
    return entries.exclude(status=EntryStatus.DONE).defer("search").order_by("next_at", "pk").first()


def next_in_queue(session: DialSession, now: datetime, most: int = 6) -> list[QueueEntry]:
    """Who comes next in a session, in the order of dialling."""
    entries = QueueEntry.objects.select_related("lead").filter(agent=session.agent, deleted_at=None).exclude(status=EntryStatus.DONE)
    if session.batch_id is not None:
        entries = entries.filter(batch_id=session.batch_id)
    return list(entries.exclude(pk=session.entry_id).order_by("-is_immediate", "next_at", "pk")[:most])


@dataclass
class Day:
    """What a person did on a day: calls that are over, those answered, seconds spoken, and seconds in each state."""

    calls: int = 0
    answered: int = 0
    seconds: int = 0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def pickup_rate(self) -> float:
        return 100 * self.answered / self.calls if self.calls else 0.0


def days_of(user_ids: Iterable[int], now: datetime) -> dict[int, Day]:
    """Today of each person, from the ledger and the sessions' spans: two queries."""
    wanted = list(user_ids)
    found = {user_id: Day() for user_id in wanted}
    counts = CallCount.objects.filter(day=_start_of_day(now).date(), user_id__in=wanted).order_by().values("user_id", "result")
    for row in counts.annotate(n=Sum("calls"), spoken=Sum("seconds")):
        day = found[row["user_id"]]
        day.calls += row["n"]
        day.seconds += row["spoken"]
        if row["result"] in _ANSWERED:
            day.answered += row["n"]
    spans = SessionSpan.objects.filter(user_id__in=wanted, started_at__gte=_start_of_day(now))
    for user_id, state, began, ended in spans.values_list("user_id", "state", "started_at", "ended_at"):
        states = found[user_id].states
        states[state] = states.get(state, 0) + round((ended - began).total_seconds())
    return found


@dataclass(frozen=True)
class AtWork:
    """A person in the workspace."""

    session: DialSession
    user: User
    call: Call | None
    day: Day


def _start_of_day(now: datetime) -> datetime:
    """Of the tenant's day, which the ledgers count by."""
    return now.astimezone(ZoneInfo(current_tenant().time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def people_at_work(now: datetime, *, by: Actor) -> list[AtWork]:
    """Who is in a session now, and at what. Four queries, however many."""
    by.require(COACH)
    sessions = list(
        DialSession.objects.select_related("agent", "user", "entry__lead")
        .filter(ended_at=None)
        .order_by("user__first_name", "user__last_name", "pk")
    )
    calls: dict[int | None, Call] = {}
    for call in Call.objects.filter(session__in=sessions, status__in=LIVE).order_by("answered_at", "-pk"):
        calls.setdefault(call.session_id, call)
    days = days_of([session.user_id for session in sessions], now)
    for session in sessions:
        # The present state is no span yet.
        states = days[session.user_id].states
        states[session.state] = states.get(session.state, 0) + max(round((now - session.state_since).total_seconds()), 0)
    return [AtWork(session=session, user=session.user, call=calls.get(session.pk), day=days[session.user_id]) for session in sessions]


def lately_at_work(now: datetime, *, but: Iterable[int]) -> list[tuple[User, Day]]:
    """Who called today and is in no session now."""
    called = CallCount.objects.filter(day=_start_of_day(now).date(), user_id__isnull=False).exclude(user_id__in=list(but))
    ids = set(called.values_list("user_id", flat=True).distinct())
    days = days_of(ids, now)
    return [(user, days[user.pk]) for user in User.objects.filter(pk__in=ids).order_by("first_name", "last_name", "pk")]


def with_people(calls: list[Call]) -> list[Call]:
    """The calls with who made them and who was called, in two queries."""
    prefetch_related_objects(calls, "user", "lead")
    return calls
