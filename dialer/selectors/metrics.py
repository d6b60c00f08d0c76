"""Figures of calls, from the ledgers: document 2's metrics, and the same by day, agent, person and result."""

from datetime import date
from typing import Any

from django.db.models import Q, Sum

from crm.actors import Actor
from dialer.enums import CallOutcome, CallResult
from dialer.models import CallingAgent, ReachCount
from dialer.selectors.ledgers import Span, span_of, sums
from dialer.selectors.queues import require_sight

_OUTCOMES = (CallOutcome.ANSWERED, CallOutcome.NO_ANSWER, CallOutcome.FAILED)


def metrics(*, actor: Actor, agent_id: int | None = None, since: date | None = None, until: date | None = None) -> dict[str, Any]:
    """Document 2's figures over whole days of the tenant's zone: of all that the actor sees, or of one agent.

    The attempts are those of the span for each entry that was called in it. Active agents are those that called in the span;
    without a span, those in use that ever called.
    """
    require_sight(by=actor)
    span = span_of(actor, agent_id=agent_id, since=since, until=until)
    by_outcome = dict.fromkeys(_OUTCOMES, 0)
    agents = set()
    for (agent, result), (calls, _seconds) in sums(span, "agent_id", "result").items():
        outcome = CallResult(result).outcome
        if outcome is not None:
            by_outcome[outcome] += calls
            agents.add(agent)
    agents.discard(None)
    total = sum(by_outcome.values())
    if since is None and until is None:
        active = CallingAgent.objects.filter(pk__in=agents, deleted_at=None, is_active=True).count()
    else:
        active = len(agents)
    return {
        "total_calls": total,
        "answered_calls": by_outcome[CallOutcome.ANSWERED],
        "no_answer_calls": by_outcome[CallOutcome.NO_ANSWER],
        "failed_calls": by_outcome[CallOutcome.FAILED],
        "pickup_rate": round(by_outcome[CallOutcome.ANSWERED] / total * 100, 2) if total else 0.0,
        "average_attempts_per_lead": _attempts(span),
        "active_agents": active,
    }


def _attempts(span: Span) -> float:
    """Calls in the span for each entry reached in it. An entry counts once: by its first call there, whose last one before lies earlier."""
    rows = ReachCount.objects.filter(span.within())
    if span.queues is not None:
        rows = rows.filter(agent_id__in=span.queues)
    first = Q(previous_day=None) if span.since is None else Q(previous_day=None) | Q(previous_day__lt=span.since)
    found = rows.order_by().aggregate(every=Sum("calls"), reached=Sum("calls", filter=first))
    return round(found["every"] / found["reached"], 2) if found["every"] and found["reached"] else 0.0


def by_day(
    *, actor: Actor, agent_id: int | None = None, since: date | None = None, until: date | None = None
) -> dict[date, dict[str, int]]:
    """Calls and seconds of each day, the earliest first, with the calls of each outcome."""
    require_sight(by=actor)
    return _with_outcomes("day", actor, agent_id, since, until)


def by_agent(
    *, actor: Actor, agent_id: int | None = None, since: date | None = None, until: date | None = None
) -> dict[int | None, dict[str, int]]:
    """The same by agent; None are calls that somebody made by a click on a number."""
    require_sight(by=actor)
    return _with_outcomes("agent_id", actor, agent_id, since, until)


def by_user(
    *, actor: Actor, agent_id: int | None = None, since: date | None = None, until: date | None = None
) -> dict[int | None, dict[str, int]]:
    """The same by person; None are the machine's."""
    require_sight(by=actor)
    return _with_outcomes("user_id", actor, agent_id, since, until)


def by_result(
    *, actor: Actor, agent_id: int | None = None, since: date | None = None, until: date | None = None
) -> dict[str, dict[str, int]]:
    """Calls and seconds of each result."""
    require_sight(by=actor)
    found = sums(span_of(actor, agent_id=agent_id, since=since, until=until), "result")
    return {result: {"calls": calls, "seconds": seconds} for (result,), (calls, seconds) in found.items()}


def _with_outcomes(facet: str, actor: Actor, agent_id: int | None, since: date | None, until: date | None) -> dict[Any, dict[str, int]]:
    found: dict[Any, dict[str, int]] = {}
    for (key, result), (calls, seconds) in sums(span_of(actor, agent_id=agent_id, since=since, until=until), facet, "result").items():
        outcome = CallResult(result).outcome
        figures = found.setdefault(key, {"calls": 0, "seconds": 0, **dict.fromkeys((str(one) for one in _OUTCOMES), 0)})
        figures["calls"] += calls
        figures["seconds"] += seconds
        if outcome is not None:
            figures[str(outcome)] += calls
    return dict(sorted(found.items(), key=lambda item: (item[0] is None, item[0])))
