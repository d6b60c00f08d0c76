"""Sums over the ledgers of calls, of those in sight: of all queues or some, and of one's own calls beside them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q, Sum

from crm.actors import Actor
from dialer.models import AgentCount, CallCount
from dialer.permissions import CALL
from dialer.selectors.queues import queue_ids

Sums = dict[tuple[Any, ...], tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Which calls are summed: of every queue (None) or of these and the user's own; of an agent, results, whole days of the tenant's zone."""

    queues: list[int] | None = None
    user_id: int | None = None
    agent_id: int | None = None
    results: list[str] | None = None
    since: date | None = None
    until: date | None = None

    def within(self) -> Q:
        """The condition of a ledger's rows but for whose they are."""
        within = Q()
        if self.agent_id is not None:
            within &= Q(agent_id=self.agent_id)
        if self.results is not None:
            within &= Q(result__in=self.results)
        if self.since is not None:
            within &= Q(day__gte=self.since)
        if self.until is not None:
            within &= Q(day__lte=self.until)
        return within


def span_of(
    actor: Actor, *, agent_id: int | None = None, results: list[str] | None = None, since: date | None = None, until: date | None = None
) -> Span:
    """What the actor sees of a span."""
    queues = queue_ids(actor)
    own = actor.user_id if queues is not None and actor.can(CALL) else None
    return Span(queues=queues, user_id=own, agent_id=agent_id, results=results, since=since, until=until)


def sums(span: Span, *facets: str) -> Sums:
    """Calls and seconds by facets, those that come to nothing left out."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for rows in _parts(span, with_people="user_id" in facets):
        for *key, calls, seconds in rows.order_by().values_list(*facets).annotate(n=Sum("calls"), s=Sum("seconds")):
            found[tuple(key)][0] += calls
            found[tuple(key)][1] += seconds
    return {key: (calls, seconds) for key, (calls, seconds) in found.items() if calls}


def _parts(span: Span, *, with_people: bool) -> list[Any]:
    """Disjoint parts of the ledgers. Only that of people knows who called; the other has far fewer rows."""
    ledger = CallCount if with_people else AgentCount
    if span.queues is None:
        return [ledger.objects.filter(span.within())]
    parts: list[Any] = [ledger.objects.filter(span.within(), agent_id__in=span.queues)] if span.queues else []
    if span.user_id is not None:
        others = Q(agent_id=None) | ~Q(agent_id__in=span.queues)
        parts.append(CallCount.objects.filter(span.within(), others, user_id=span.user_id))
    return parts
