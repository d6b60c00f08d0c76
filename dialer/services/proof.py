"""Is every rule of calling kept? Read the tables alone, and work everything out again in the slow and obvious way.

Nothing here is shared with the engine: hours, windows, limits and delays are reckoned anew from what is stored, call by call.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
from django.db.models import Sum
from phonenumbers import timezone as number_zones

from activities.models import Activity
from crm.identity.models import Holiday
from crm.tenancy.models import current_tenant
from dialer.models import Call, CallCount, CallingAgent, DialerSettings, DialSession, DoNotCall, QueueEntry, RetryRule
from leads.models import Lead

_LIVE = ("queued", "ringing", "in_progress")
_ENDINGS = {
    "completed": "completed", "not_interested": "not_interested", "hung_up": "hung_up", "wrong_number": "wrong_number",
    "do_not_call": "do_not_call", "failed": "failed",
}  # fmt: skip


@dataclass(kw_only=True)
class Proof:
    """What was found. `violations` name the rule and the row; there should be none."""

    violations: list[str] = field(default_factory=list)
    calls: int = 0
    entries: int = 0
    results: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)

    def broken(self, rule: str, what: object) -> None:
        self.violations.append(f"{rule}: {what}")


def prove(*, now: datetime, began: datetime) -> Proof:
    """Look at everything the open tenant's dialer did since it began."""
    proof = Proof()
    calls = list(Call.objects.filter(created_at__gte=began).order_by("created_at", "pk"))
    placed = [call for call in calls if call.result != "not_placed"]
    agents = {agent.pk: agent for agent in CallingAgent.objects.all()}
    entries = {entry.pk: entry for entry in QueueEntry.objects.defer("search")}
    proof.calls, proof.entries = len(placed), len(entries)
    proof.results.update(call.result or call.status for call in placed)
    proof.endings.update(entry.disposition or f"({entry.status})" for entry in entries.values())
    settings = DialerSettings.objects.first() or DialerSettings()
    lawful = Lawful(settings)
    for call in placed:
        _check_hours(proof, call, agents, entries, lawful)
    _check_do_not_call(proof, placed)
    _check_limits(proof, placed, settings, lawful)
    _check_overlaps(proof, placed, agents, now)
    _check_deleted(proof, placed)
    by_entry: dict[int, list[Call]] = defaultdict(list)
    for call in placed:
        if call.entry_id is not None:
            by_entry[call.entry_id].append(call)
    for entry in entries.values():
        _check_attempts(proof, entry, by_entry[entry.pk], agents[entry.agent_id])
        _check_state(proof, entry, by_entry[entry.pk], now)
    _check_forgotten(proof, entries.values(), placed, agents, lawful, settings, now)
    _check_timeline(proof, placed)
    _check_ledger(proof)
    return proof


class Lawful:
    """The tenant's window and an agent's hours, by what the clock on the wall says there."""

    def __init__(self, settings: DialerSettings) -> None:
        self.settings = settings
        self.tenant = current_tenant()
        self.holidays = set(Holiday.objects.filter(team=None).values_list("date", flat=True))

    def zones(self, phone: str, zone: str = "") -> list[ZoneInfo]:
        if zone:
            return [ZoneInfo(zone)]
        number = phonenumbers.parse(phone)
        names = number_zones.time_zones_for_number(number)
        if "Etc/Unknown" in names:
            names = number_zones.time_zones_for_geographical_number(number)
        return [ZoneInfo(name) for name in names if name != "Etc/Unknown"] or [ZoneInfo(self.tenant.time_zone)]

    def in_window(self, phone: str, zone: str, at: datetime) -> bool:
        days = self.settings.window_days or list(range(7))
        start, end = self.settings.window_start, self.settings.window_end
        for there in self.zones(phone, zone):
            local = at.astimezone(there)
            if local.weekday() not in days or local.time() < start or (end != time(0) and local.time() >= end):
                return False
        return True

    def in_hours(self, agent: CallingAgent, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(agent.time_zone or self.tenant.time_zone))
        if local.date() in agent.holidays or (agent.keeps_tenant_holidays and local.date() in self.holidays):
            return False
        hours = agent.business_hours or self.tenant.working_hours
        if not hours:
            return True
        spans = hours.get(str(local.weekday())) or []
        spans = [spans] if spans and isinstance(spans[0], str) else spans
        return any(
            time.fromisoformat(start) <= local.time() and (end == "24:00" or local.time() < time.fromisoformat(end)) for start, end in spans
        )


def _check_hours(proof: Proof, call: Call, agents: dict[int, CallingAgent], entries: dict[int, QueueEntry], lawful: Lawful) -> None:
    entry = entries.get(call.entry_id or 0)
    if not lawful.in_window(call.phone, entry.zone if entry else "", call.created_at):
        proof.broken("outside the number's lawful hours", f"call {call.pk} to {call.phone} at {call.created_at}")
    # What was asked for at once, and what a person dials by a click, does not wait for the agent's hours.
    asked_for = entry is None or entry.custom_fields.get("at_once") or (call.user_id is not None and call.session_id is None)
    if call.agent_id is not None and not asked_for and not lawful.in_hours(agents[call.agent_id], call.created_at):
        proof.broken("outside the agent's hours", f"call {call.pk} at {call.created_at}")


def _check_do_not_call(proof: Proof, calls: Sequence[Call]) -> None:
    listed = defaultdict(list)
    for row in DoNotCall.objects.all():
        listed[row.phone].append(row)
    for call in calls:
        for row in listed[call.phone]:
            for_it = row.agent_id is None or row.agent_id == call.agent_id
            if for_it and row.created_at < call.created_at and (row.until is None or row.until >= call.created_at.date()):
                proof.broken("on a do-not-call list", f"call {call.pk} to {call.phone}")


def _check_limits(proof: Proof, calls: Sequence[Call], settings: DialerSettings, lawful: Lawful) -> None:
    numbers: Counter[object] = Counter()
    leads: Counter[object] = Counter()
    for call in calls:
        day = call.created_at.astimezone(lawful.zones(call.phone)[0]).date()
        numbers[call.phone, day] += 1
        leads[call.lead_id, day] += 1
    for key, number in (*numbers.items(), *((key, n) for key, n in leads.items() if isinstance(key, tuple) and key[0])):
        if number > settings.most_calls_a_day:
            proof.broken("too often in a day", f"{key}: {number}")


def _check_overlaps(proof: Proof, calls: Sequence[Call], agents: dict[int, CallingAgent], now: datetime) -> None:
    last: dict[str, datetime] = {}
    for call in calls:
        if call.phone in last and call.created_at < last[call.phone]:
            proof.broken("two calls to one number at once", f"call {call.pk} to {call.phone}")
        last[call.phone] = call.ended_at or now
    for agent in agents.values():
        if agent.kind != "automated":
            continue
        own = [call for call in calls if call.agent_id == agent.pk and call.user_id is None]
        # Ends come before beginnings of the same moment: the line was free by then.
        moments = sorted([(call.created_at, 1, 1) for call in own] + [(call.ended_at or now, 0, -1) for call in own])
        in_use = 0
        for at, _order, change in moments:
            in_use += change
            if in_use > agent.most_calls:
                proof.broken("more calls at once than the agent has lines", f"agent {agent.pk} at {at}")
                break


def _check_deleted(proof: Proof, calls: Sequence[Call]) -> None:
    gone = dict(Lead.objects.filter(deleted_at__isnull=False).values_list("pk", "deleted_at"))
    for call in calls:
        went = gone.get(call.lead_id or 0)
        if went is not None and call.created_at > went:
            proof.broken("a deleted lead was called", f"call {call.pk}")


def _check_attempts(proof: Proof, entry: QueueEntry, calls: Sequence[Call], agent: CallingAgent) -> None:
    settled = [call for call in calls if call.outcome]
    if entry.attempts_count != len(settled):
        proof.broken("attempts are counted wrongly", f"entry {entry.pk}: {entry.attempts_count}, {len(settled)} calls")
    agreed = sum(call.result == "callback" for call in settled)
    if len(calls) > agent.max_attempts + agreed:
        proof.broken("called more often than the agent may", f"entry {entry.pk}: {len(calls)}")
    rules = {rule.result: rule for rule in RetryRule.objects.filter(agent_id=agent.pk)}
    for before, then in itertools.pairwise(calls):
        rule = rules.get(before.result)
        minutes = rule.delay_minutes if rule else agent.retry_delay_minutes
        by_hand = then.user_id is not None and then.session_id is None
        if before.result in ("callback", "") or by_hand or before.ended_at is None:
            continue
        if before.result in _ENDINGS and rule is None and before.result != "failed":
            proof.broken("called again after an end", f"call {then.pk} after {before.result}")
        if then.created_at < before.ended_at + timedelta(minutes=minutes):
            proof.broken("called again too soon", f"call {then.pk}, {then.created_at - before.ended_at} after {before.result}")


def _check_state(proof: Proof, entry: QueueEntry, calls: Sequence[Call], now: datetime) -> None:
    live = [call for call in calls if call.status in _LIVE]
    live += list(Call.objects.filter(entry_id=entry.pk, status__in=_LIVE).exclude(pk__in=[call.pk for call in live]))
    unsaid = [call for call in calls if call.awaits_outcome]
    if len(live) > 1:
        proof.broken("an entry in two calls", f"entry {entry.pk}")
    if entry.status == "done":
        settled = [call for call in calls if call.outcome]
        if not entry.disposition or live:
            proof.broken("done without a disposition, or in a call", f"entry {entry.pk}")
        elif settled and _ENDINGS.get(settled[-1].result, entry.disposition) != entry.disposition and not _ruled(entry, settled[-1]):
            proof.broken("ended otherwise than its last call", f"entry {entry.pk}: {entry.disposition}, {settled[-1].result}")
        return
    if entry.disposition:
        proof.broken("a disposition before the end", f"entry {entry.pk}")
    if (entry.status == "new") != (not calls):
        proof.broken("new and called do not agree", f"entry {entry.pk}: {entry.status}, {len(calls)} calls")
    in_front = DialSession.objects.filter(entry_id=entry.pk, ended_at=None).exists()
    if entry.held_by and entry.next_at > now and not (live or unsaid or in_front):
        proof.broken("held by nobody", f"entry {entry.pk}: {entry.held_by} until {entry.next_at}")


def _ruled(entry: QueueEntry, call: Call) -> bool:
    return RetryRule.objects.filter(agent_id=entry.agent_id, result=call.result, disposition=entry.disposition).exists()


def _check_forgotten(
    proof: Proof, entries: Iterable[QueueEntry], calls: Sequence[Call], agents: dict[int, CallingAgent], lawful: Lawful, settings: DialerSettings, now: datetime
) -> None:  # fmt: skip
    """What has been due and lawful for minutes, with a line free, and was not called."""
    listed = set(DoNotCall.objects.values_list("phone", flat=True))
    busy = Counter(call.agent_id for call in calls if call.status in _LIVE)
    numbers = {call.phone for call in calls if call.status in _LIVE}
    gone = set(Lead.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True))
    today: Counter[object] = Counter()
    for call in calls:
        zone = lawful.zones(call.phone)[0]
        if call.created_at.astimezone(zone).date() == now.astimezone(zone).date():
            today[call.phone] += 1
            today[call.lead_id] += 1
    for entry in entries:
        agent = agents[entry.agent_id]
        if (
            agent.kind != "automated"
            or not agent.is_active
            or entry.status == "done"
            or entry.deleted_at
            or busy[agent.pk] >= agent.most_calls
        ):
            continue
        if entry.phone in listed or entry.phone in numbers or entry.lead_id in gone:
            continue
        if max(today[entry.phone], today[entry.lead_id]) >= settings.most_calls_a_day:
            continue
        moments = [now - timedelta(minutes=minutes) for minutes in range(6)]
        if entry.next_at <= moments[-1] and all(
            lawful.in_hours(agent, at) and lawful.in_window(entry.phone, entry.zone, at) for at in moments
        ):
            proof.broken("forgotten", f"entry {entry.pk}, due at {entry.next_at}")


def _check_timeline(proof: Proof, calls: Sequence[Call]) -> None:
    settled = [call for call in calls if call.outcome]
    known = dict(Activity.objects.filter(pk__in=[call.activity_id for call in settled if call.activity_id]).values_list("pk", "lead_id"))
    if len({call.activity_id for call in settled if call.activity_id}) != sum(bool(call.activity_id) for call in settled):
        proof.broken("an activity of two calls", "")
    gone = set(Lead.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True))
    for call in settled:
        if call.lead_id is not None and call.lead_id not in gone and known.get(call.activity_id or 0) != call.lead_id:
            proof.broken("not on the lead's timeline", f"call {call.pk}")


def _check_ledger(proof: Proof) -> None:
    zone = ZoneInfo(current_tenant().time_zone)
    counted: Counter[object] = Counter()
    for call in Call.objects.filter(ended_at__isnull=False).exclude(outcome=""):
        counted[call.created_at.astimezone(zone).date(), call.agent_id, call.user_id, call.result] += 1
    sums = CallCount.objects.values_list("day", "agent_id", "user_id", "result").annotate(n=Sum("calls"))
    kept = Counter({row[:4]: row[4] for row in sums if row[4]})
    if counted != kept:
        proof.broken("the ledger differs from the calls", f"{len(counted)} cells, {len(kept)} kept")
