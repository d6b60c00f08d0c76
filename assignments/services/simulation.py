"""What rules would have done with the leads of the last days: the same engine, nothing written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Extract
from django.utils import timezone

from assignments.models import AssignmentRule
from assignments.services.engine import Engine, LeadFacts, Outcome
from assignments.services.snapshot import FACTS, facts_of, matches, read_known, read_rules, read_workers
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from leads.selectors import open_status_ids

DAYS, MOST_LEADS, SHOWN = 30, 100_000, 50
# Shifts are looked at so often, in seconds.
_STEP = 15 * 60


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A lead that would have gone to somebody else than who has it."""

    lead_id: int
    would: int | None
    has: int | None
    rule: int | None
    why: Any


@dataclass(kw_only=True)
class Simulation:
    """Numbers of leads: what each would have got by which rule, has now, and what nobody could take."""

    leads: int = 0
    would: dict[int, int] = field(default_factory=dict)
    has: dict[int, int] = field(default_factory=dict)
    by_rule: dict[int, int] = field(default_factory=dict)
    nobody: int = 0
    nobody_now: int = 0
    waited: int = 0
    same: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    seconds: float = 0.0
    cut: bool = False


def simulate(*, rules: Sequence[AssignmentRule], days: int = DAYS, at: datetime | None = None) -> Simulation:
    """Let rules, saved or not, place the leads captured in the last days in the order they came, hour by hour.

    Whom nobody could take at once is tried again when a shift opens or a day begins. Leads that were closed meanwhile go on
    counting as open, so capacities bind a little earlier than they did.
    """
    started, now = time.perf_counter(), at or timezone.now()
    since = now - timedelta(days=days)
    base = Lead.objects.live().filter(created_at__gte=since)
    # Seconds are read much faster than moments.
    moments = base.annotate(second=Extract("created_at", "epoch")).order_by("created_at", "pk")
    rows = list(moments.values_list(*FACTS, "second", "owner_id")[: MOST_LEADS + 1])
    read = read_rules(rules)
    leads = facts_of((row[: len(FACTS)] for row in rows[:MOST_LEADS]), earlier={})
    workers = read_workers(at=now, rules=read, since=since)
    for user_id, number in _open_since(since).items():
        if user_id in workers:
            workers[user_id].open_leads = max(0, workers[user_id].open_leads - number)
    engine = Engine(rules=read, workers=workers, known=read_known(leads, read, before=since), credits={}, at=since)
    engine.start_day()
    matched = matches(rules, base, whole=[lead.id for lead in leads])
    run = _Run(engine)
    for lead, row in zip(leads, rows, strict=False):
        run.take(lead, tuple(matched.get(lead.id, ())), row[-2])
    run.look(now)
    found = _counted(run, {row[0]: row[-1] for row in rows[:MOST_LEADS]})
    found.cut, found.seconds = len(rows) > MOST_LEADS, time.perf_counter() - started
    return found


_OPEN = """
SELECT owner_id, count(*) FROM leads_lead
WHERE tenant_id = %(tenant)s AND deleted_at IS NULL AND created_at >= %(since)s AND owner_id IS NOT NULL AND status_id = ANY(%(open)s)
GROUP BY owner_id
"""


def _open_since(since: datetime) -> dict[int, int]:
    """Of the leads that are gone through, how many open ones each has now: they are given anew."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, {"tenant": current_tenant_id(), "since": since, "open": open_status_ids()})
        return dict(cursor.fetchall())


class _Run:
    """The clock, and who waits."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.outcomes: dict[int, Outcome] = {}
        self.waiting: list[tuple[LeadFacts, tuple[int, ...]]] = []
        self.waited: set[int] = set()
        self.next_look = 0
        self.day: date | None = None

    def take(self, lead: LeadFacts, matching: tuple[int, ...], second: int) -> None:
        if second >= self.next_look:
            self.look(datetime.fromtimestamp(second, UTC))
            self.next_look = second + _STEP
        outcome = self.engine.decide(lead, matching)
        self.outcomes[lead.id] = outcome
        if outcome.user_id is None and matching:
            self.waiting.append((lead, matching))

    def look(self, at: datetime) -> None:
        """See who is at work by now; whoever waits is tried again when somebody came, or a day began."""
        before = self._present()
        day = timezone.localdate(at)
        if self.day is not None and day != self.day:
            self.engine.start_day()
        self.engine.set_clock(at)
        if (self.day is not None and day != self.day) or self._present() - before:
            self.try_waiting()
        self.day = day

    def try_waiting(self) -> None:
        left = []
        for lead, matching in self.waiting:
            outcome = self.engine.decide(lead, matching)
            self.outcomes[lead.id] = outcome
            if outcome.user_id is None:
                left.append((lead, matching))
            else:
                self.waited.add(lead.id)
        self.waiting = left

    def _present(self) -> set[int]:
        return {worker.id for worker in self.engine.workers.values() if not worker.on_leave and not worker.off_shift}


def _counted(run: _Run, owners: dict[int, int | None]) -> Simulation:
    found = Simulation(leads=len(owners), waited=len(run.waited))
    for lead_id, has in owners.items():
        outcome = run.outcomes[lead_id]
        would = outcome.user_id
        if has is not None:
            found.has[has] = found.has.get(has, 0) + 1
        else:
            found.nobody_now += 1
        if would is None:
            found.nobody += 1
            last = outcome.why.passed[-1][1] if outcome.why.passed else "no_rule"
            found.reasons[last] = found.reasons.get(last, 0) + 1
        else:
            found.would[would] = found.would.get(would, 0) + 1
            place = outcome.why.rule or 0
            found.by_rule[place] = found.by_rule.get(place, 0) + 1
        if would == has:
            found.same += 1
        elif len(found.differences) < SHOWN:
            found.differences.append(Difference(lead_id=lead_id, would=would, has=has, rule=outcome.why.rule, why=outcome.why))
    return found
