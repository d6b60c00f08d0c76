"""Who takes which lead: a pure function of rules, people and what is known of the leads.

Capture, bulk work and the simulator all ask this one engine. It reads and writes nothing; it counts on as it decides, so that the
next lead finds people as the last one left them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from assignments.enums import Fallback, Method, Nobody, Skip
from crm.worktime import WorkingTime

# Credits of turns: the weight is gained at each lead, and who gets it pays the weights of all.
Credits = dict[tuple[int, int], int]


class LeadFacts(NamedTuple):
    """What rules look at besides their conditions. `keys` are its e-mail and phone, `earlier` who had it before.

    A tuple, as the next two: a hundred thousand of them are made in one go.
    """

    id: int
    company: str = ""
    keys: tuple[str, ...] = ()
    country: str = ""
    state: str = ""
    city: str = ""
    earlier: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Territory:
    """Places, folded; an empty one is any. The entry that says most wins."""

    country: str
    state: str
    city: str
    members: tuple[int, ...]

    def covers(self, lead: LeadFacts) -> bool:
        return all(
            not wanted or wanted == held
            for wanted, held in ((self.country, lead.country), (self.state, lead.state), (self.city, lead.city))
        )

    @property
    def precision(self) -> int:
        return (4 if self.city else 0) + (2 if self.state else 0) + (1 if self.country else 0)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule as the engine needs it. `members` are people with weights; None: everybody."""

    id: int | None
    name: str
    method: Method
    members: tuple[tuple[int, int], ...] | None
    territories: tuple[Territory, ...] = ()
    per_day: int | None = None
    in_total: int | None = None
    heed_shifts: bool = True
    fallback: Fallback = Fallback.NEXT
    fallback_user: int | None = None


@dataclass(kw_only=True, slots=True)
class Worker:
    """Somebody leads may go to, and how much they have."""

    id: int
    active: bool = True
    paused: bool = False
    hours: WorkingTime | None = None
    leave: tuple[tuple[date, date], ...] = ()
    open_leads: int = 0
    given_today: int = 0
    per_day: int | None = None
    in_total: int | None = None
    # What the clock says, as of the moment the engine was set to.
    on_leave: bool = False
    off_shift: bool = False


@dataclass(kw_only=True)
class Known:
    """Who has which company and which person now, by key."""

    company_owner: dict[str, int] = field(default_factory=dict)
    person_owner: dict[str, int] = field(default_factory=dict)


class Reasoning(NamedTuple):
    """Why, equal for all leads that were weighed alike. `skipped` are (reason, people), `passed` (rule, why nobody, skipped)."""

    rule: int | None
    method: str
    candidates: tuple[int, ...]
    skipped: tuple[tuple[str, tuple[int, ...]], ...]
    passed: tuple[tuple[int, str, tuple[tuple[str, tuple[int, ...]], ...]], ...] = ()
    fell_back: bool = False


class Outcome(NamedTuple):
    """Whom a lead goes to, None being nobody, and why."""

    lead_id: int
    user_id: int | None
    why: Reasoning


_Skipped = tuple[tuple[str, tuple[int, ...]], ...]


class Engine:
    """Decides lead after lead. `rules` are named by their place in the list."""

    def __init__(self, *, rules: Sequence[Rule], workers: Mapping[int, Worker], known: Known, credits: Credits, at: datetime) -> None:
        self.rules = list(rules)
        self.workers = dict(workers)
        self.known = known
        self.credits = credits
        self.changed_credits: set[tuple[int, int]] = set()
        self._free: dict[tuple[int, tuple[int, ...] | None], tuple[tuple[int, ...], _Skipped]] = {}
        self._edges = {worker.id: self._edges_of(worker) for worker in self.workers.values()}
        self._weights = [dict(rule.members or ()) for rule in self.rules]
        self._everybody = tuple(self.workers)
        self._territories = [sorted(rule.territories, key=lambda item: -item.precision) for rule in self.rules]
        self.set_clock(at)

    # --- the clock ---

    def set_clock(self, at: datetime) -> None:
        """Look who is at work at a moment."""
        # Most share their hours.
        found: dict[WorkingTime, tuple[date, bool]] = {}
        for worker in self.workers.values():
            local, is_open = at.date(), True
            if worker.hours is not None:
                if worker.hours not in found:
                    found[worker.hours] = at.astimezone(worker.hours.zone).date(), worker.hours.is_open(at)
                local, is_open = found[worker.hours]
            worker.on_leave = any(first <= local <= last for first, last in worker.leave)
            worker.off_shift = not is_open
        self._free.clear()

    def start_day(self) -> None:
        """Nobody has been given anything today."""
        for worker in self.workers.values():
            worker.given_today = 0
        self._free.clear()

    # --- deciding ---

    def decide(self, lead: LeadFacts, matching: Sequence[int]) -> Outcome:
        """Place one lead by the first of the rules it matches that can. The one who gets it is counted."""
        passed: list[tuple[int, str, _Skipped]] = []
        for place in matching:
            rule = self.rules[place]
            nobody, candidates, skipped, chosen = self._ask(place, lead)
            if chosen is not None:
                self._count(chosen, lead)
                return Outcome(lead.id, chosen, Reasoning(place, rule.method, candidates, skipped, tuple(passed)))
            if rule.fallback == Fallback.USER and self._stands_in(rule.fallback_user):
                self._count(rule.fallback_user or 0, lead)
                why = Reasoning(place, rule.method, (), skipped, tuple(passed), fell_back=True)
                return Outcome(lead.id, rule.fallback_user, why)
            passed.append((place, nobody, skipped))
            if rule.fallback == Fallback.WAIT:
                return Outcome(lead.id, None, Reasoning(place, rule.method, (), skipped, tuple(passed)))
        return Outcome(lead.id, None, Reasoning(None, "", (), (), tuple(passed)))

    def _ask(self, place: int, lead: LeadFacts) -> tuple[str, tuple[int, ...], _Skipped, int | None]:
        """One rule: why it has nobody, its candidates, who was skipped, and whom it chose."""
        rule = self.rules[place]
        match rule.method:
            case Method.COMPANY_OWNER | Method.STICKY:
                owner = self._owner_known(rule.method, lead)
                if owner is None or owner not in self.workers or (rule.members is not None and owner not in self._weights[place]):
                    reason = Nobody.NO_COMPANY_OWNER if rule.method == Method.COMPANY_OWNER else Nobody.NO_EARLIER_OWNER
                    return reason, (), (), None
                candidates, skipped = self._candidates(place, (owner,))
                return Nobody.NO_CANDIDATE, candidates, skipped, candidates[0] if candidates else None
            case Method.TERRITORY:
                found = next((item for item in self._territories[place] if item.covers(lead)), None)
                if found is None:
                    return Nobody.NO_TERRITORY, (), (), None
                candidates, skipped = self._candidates(place, found.members)
            case _:
                candidates, skipped = self._candidates(place, None)
        if not candidates:
            return Nobody.NO_CANDIDATE, (), skipped, None
        if rule.method == Method.LEAST_LOADED:
            return "", candidates, skipped, min(candidates, key=lambda pk: self.workers[pk].open_leads)
        return "", candidates, skipped, self._next_in_turn(place, candidates)

    def _owner_known(self, method: str, lead: LeadFacts) -> int | None:
        if method == Method.STICKY:
            if lead.earlier is not None:
                return lead.earlier
            for key in lead.keys:
                if key in self.known.person_owner:
                    return self.known.person_owner[key]
            return None
        return self.known.company_owner.get(lead.company) if lead.company else None

    def _next_in_turn(self, place: int, candidates: tuple[int, ...]) -> int:
        """Smooth weighted turns: with equal weights simply one after the other."""
        weights = self._weights[place] if self.rules[place].method == Method.WEIGHTED else {}
        total, chosen, highest = 0, candidates[0], None
        for pk in candidates:
            weight = weights.get(pk, 1)
            total += weight
            credit = self.credits.get((place, pk), 0) + weight
            self.credits[place, pk] = credit
            self.changed_credits.add((place, pk))
            if highest is None or credit > highest:
                chosen, highest = pk, credit
        self.credits[place, chosen] -= total
        return chosen

    # --- who can take one ---

    def _candidates(self, place: int, among: tuple[int, ...] | None) -> tuple[tuple[int, ...], _Skipped]:
        """Who can take a lead of this rule now, in order, and why the others cannot. Remembered until somebody is full."""
        key = (place, among)
        if key not in self._free:
            rule = self.rules[place]
            ids = among if among is not None else tuple(self._weights[place]) if rule.members is not None else self._everybody
            free: list[int] = []
            skipped: dict[str, list[int]] = {}
            for pk in ids:
                reason = self.why_not(pk, rule)
                if reason is None:
                    free.append(pk)
                else:
                    skipped.setdefault(str(reason), []).append(pk)
            self._free[key] = (tuple(free), tuple((reason, tuple(people)) for reason, people in skipped.items()))
        return self._free[key]

    def why_not(self, pk: int, rule: Rule) -> Skip | None:
        """Why somebody cannot take a lead of a rule; None where they can."""
        worker = self.workers.get(pk)
        if worker is None or not worker.active:
            return Skip.INACTIVE
        if worker.paused:
            return Skip.PAUSED
        if worker.on_leave:
            return Skip.ON_LEAVE
        if rule.heed_shifts and worker.off_shift:
            return Skip.OFF_SHIFT
        if worker.given_today >= _least(worker.per_day, rule.per_day):
            return Skip.FULL_TODAY
        if worker.open_leads >= _least(worker.in_total, rule.in_total):
            return Skip.FULL
        return None

    def _stands_in(self, pk: int | None) -> bool:
        worker = self.workers.get(pk or 0)
        return worker is not None and worker.active

    def _edges_of(self, worker: Worker) -> tuple[frozenset[float], frozenset[float]]:
        """At which numbers somebody becomes full for some rule: a day, and in total."""
        return (
            frozenset(_least(worker.per_day, rule.per_day) for rule in self.rules),
            frozenset(_least(worker.in_total, rule.in_total) for rule in self.rules),
        )

    def _count(self, pk: int, lead: LeadFacts) -> None:
        worker = self.workers[pk]
        worker.open_leads += 1
        worker.given_today += 1
        a_day, in_total = self._edges[pk]
        if worker.given_today in a_day or worker.open_leads in in_total:
            self._free.clear()
        if lead.company:
            self.known.company_owner[lead.company] = pk
        for key in lead.keys:
            self.known.person_owner[key] = pk


def _least(first: int | None, second: int | None) -> float:
    return min((float(limit) for limit in (first, second) if limit is not None), default=float("inf"))
