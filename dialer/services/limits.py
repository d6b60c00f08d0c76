"""Whether somebody may be called now, and if not, why and until when: one answer for the scheduler, the workspace and whoever asks.

`verdict` is pure. What it goes by is read for many entries at once by `facts_for`, a fixed number of queries however many they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.identity.hours import tenant_time
from crm.tenancy.models import current_tenant
from crm.worktime import WorkingTime, read_week
from dialer.enums import LIVE, AgentKind, CallOutcome, CallResult, EntryStatus, WaitReason
from dialer.models import AgentCount, Call, CallingAgent, DialerSettings, DoNotCall, QueueEntry
from dialer.services.settings import settings_now
from dialer.services.zones import common_opening, window_in, zones_for
from leads.models import Lead

# After which an entry is looked at again that nothing but a person can free.
LOOK_AGAIN = timedelta(days=1)
ABANDON_DAYS = 30
_NEVER = gettext_lazy("The agent's hours and those in which this number may be called never meet.")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`at` is when it may be called, None where a person must do something first; `text` is a sentence for people."""

    may_call: bool
    reason: WaitReason | str = ""
    at: datetime | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Of whoever is to be called, what decides."""

    phone: str
    zones: tuple[ZoneInfo, ...]
    agent_id: int | None = None
    lead_id: int | None = None
    entry_id: int | None = None
    is_done: bool = False
    is_deleted: bool = False
    is_immediate: bool = False
    next_at: datetime | None = None
    waits_for: str = ""
    held_by: str = ""
    callback_for_id: int | None = None

    @classmethod
    def of(cls, entry: QueueEntry) -> "Candidate":
        return cls(
            phone=entry.phone,
            zones=zones_for(entry.phone, entry.zone),
            agent_id=entry.agent_id,
            lead_id=entry.lead_id,
            entry_id=entry.pk,
            is_done=entry.status == EntryStatus.DONE,
            is_deleted=entry.deleted_at is not None,
            is_immediate=entry.is_immediate,
            next_at=entry.next_at,
            waits_for=entry.waits_for,
            held_by=entry.held_by,
            callback_for_id=entry.callback_for_id,
        )


@dataclass(kw_only=True)
class Facts:
    """What was read once for many candidates."""

    now: datetime
    settings: DialerSettings
    agents: dict[int, CallingAgent]
    hours: dict[int, WorkingTime]
    # By number and agent (None: for all), until when.
    blocked: dict[tuple[str, int | None], date | None] = field(default_factory=dict)
    recent: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    recent_of_lead: dict[int, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    # The entry of the live call to a number, None for one made by hand.
    live: dict[str, int | None] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    lines_in_use: dict[int, int] = field(default_factory=dict)
    # Whether what is held counts as such: not for who holds it.
    holder: str = ""
    user_id: int | None = None

    def window(self, zones: tuple[ZoneInfo, ...]) -> tuple[WorkingTime, ...]:
        settings = self.settings
        return _windows(zones, settings.window_start, settings.window_end, tuple(settings.window_days))


def verdict(case: Candidate, facts: Facts) -> Verdict:
    """Decide, without a query. The order of the reasons is the order in which people can do something about them."""
    now = facts.now
    agent = facts.agents.get(case.agent_id) if case.agent_id is not None else None
    for found in (_standing(case, agent, facts), _claimed(case, agent, facts)):
        if found is not None:
            return found
    if case.next_at is not None and case.next_at > now:
        return _planned(case, facts)
    windows = facts.window(case.zones)
    hours = facts.hours.get(case.agent_id) if case.agent_id is not None and not case.is_immediate else None
    times = (hours, *windows) if hours is not None else windows
    if hours is not None and not hours.is_open(now):
        return _outside_hours(hours, times, now)
    if not all(window.is_open(now) for window in windows):
        return _outside_window(case, times, now)
    return _capped(case, times, facts) or _all_busy(agent, facts) or Verdict(may_call=True, text=_("Can be called now."))


def _standing(case: Candidate, agent: CallingAgent | None, facts: Facts) -> Verdict | None:
    if case.is_done or case.is_deleted:
        return Verdict(may_call=False, reason=WaitReason.DONE, text=_("Nothing more is to be done."))
    if case.lead_id in facts.gone:
        return Verdict(may_call=False, reason=WaitReason.LEAD_GONE, text=_("The lead was deleted."))
    for key in ((case.phone, None), (case.phone, case.agent_id)):
        if key in facts.blocked and (case.agent_id is not None or key[1] is None):
            until = facts.blocked[key]
            if until is None:
                return Verdict(may_call=False, reason=WaitReason.DO_NOT_CALL, text=_("The number is on a do-not-call list."))
            ends = datetime.combine(until + timedelta(days=1), time(0), tzinfo=case.zones[0])
            text = _("The number is on a do-not-call list until %(day)s.") % {"day": f"{until:%d %b %Y}"}
            return Verdict(may_call=False, reason=WaitReason.DO_NOT_CALL, at=ends, text=text)
    if agent is not None and (not agent.is_active or agent.deleted_at is not None):
        return Verdict(may_call=False, reason=WaitReason.AGENT_PAUSED, text=_("The agent is paused."))
    return None


def _claimed(case: Candidate, agent: CallingAgent | None, facts: Facts) -> Verdict | None:
    if case.phone in facts.live:
        if case.entry_id is not None and facts.live[case.phone] == case.entry_id:
            return Verdict(may_call=False, reason=WaitReason.IN_CALL, text=_("Being called now."))
        return Verdict(
            may_call=False, reason=WaitReason.NUMBER_BUSY, at=facts.now + timedelta(minutes=5), text=_("This number is in another call.")
        )
    if case.held_by and case.held_by != facts.holder and case.next_at is not None and case.next_at > facts.now:
        return Verdict(may_call=False, reason=WaitReason.HELD, at=case.next_at, text=_("Somebody has it in front of them."))
    theirs = case.callback_for_id is not None and case.callback_for_id != facts.user_id
    if theirs and agent is not None and agent.kind == AgentKind.HUMAN and (case.next_at is None or case.next_at <= facts.now):
        return Verdict(may_call=False, reason=WaitReason.FOR_ANOTHER, text=_("Waits for the person with whom a callback was agreed."))
    return None


def _planned(case: Candidate, facts: Facts) -> Verdict:
    """Not due yet. Where it was put aside for its hours or a limit, that is told rather than a plan."""
    assert case.next_at is not None
    when = moment_text(case.next_at, case.zones[0], facts.now)
    match case.waits_for:
        case WaitReason.RETRY:
            text = _("Waits for the next try, %(when)s.") % {"when": when}
        case WaitReason.CALLBACK:
            text = _("A callback is agreed for %(when)s.") % {"when": when}
        case WaitReason.OUTSIDE_WINDOW:
            text = _("This number may not be called before %(when)s.") % {"when": when}
        case WaitReason.DAILY_CAP:
            text = _("Called often enough today; again from %(when)s.") % {"when": when}
        case WaitReason.NUMBER_BUSY:
            text = _("The number was in another call; again %(when)s.") % {"when": when}
        case _:
            return Verdict(may_call=False, reason=WaitReason.NOT_DUE, at=case.next_at, text=_("Planned for %(when)s.") % {"when": when})
    return Verdict(may_call=False, reason=WaitReason(case.waits_for), at=case.next_at, text=text)


def _outside_hours(hours: WorkingTime, times: tuple[WorkingTime, ...], now: datetime) -> Verdict:
    at = opening(times, now)
    is_holiday = now.astimezone(hours.zone).date() in hours.holidays
    if at is None:
        return Verdict(may_call=False, reason=WaitReason.OUTSIDE_HOURS, text=str(_NEVER))
    words = _("A holiday; again from %(when)s.") if is_holiday else _("Outside the agent's hours until %(when)s.")
    reason = WaitReason.HOLIDAY if is_holiday else WaitReason.OUTSIDE_HOURS
    return Verdict(may_call=False, reason=reason, at=at, text=words % {"when": moment_text(at, hours.zone, now)})


def _outside_window(case: Candidate, times: tuple[WorkingTime, ...], now: datetime) -> Verdict:
    at = opening(times, now)
    if at is None:
        return Verdict(
            may_call=False,
            reason=WaitReason.OUTSIDE_WINDOW,
            text=_("This number may lie in %(count)d time zones that have no lawful hour in common: choose its zone.")
            % {"count": len(case.zones)}
            if len(case.zones) > 1
            else str(_NEVER),
        )
    text = _("It is outside the hours in which this number may be called, until %(when)s.")
    return Verdict(may_call=False, reason=WaitReason.OUTSIDE_WINDOW, at=at, text=text % {"when": moment_text(at, case.zones[0], now)})


def _capped(case: Candidate, times: tuple[WorkingTime, ...], facts: Facts) -> Verdict | None:
    zone, most = case.zones[0], facts.settings.most_calls_a_day
    today = facts.now.astimezone(zone).date()
    of_lead = facts.recent_of_lead.get(case.lead_id, ()) if case.lead_id is not None else ()
    busiest = max(sum(at.astimezone(zone).date() == today for at in calls) for calls in (facts.recent.get(case.phone, ()), of_lead))
    if busiest < most:
        return None
    tomorrow = datetime.combine(today + timedelta(days=1), time(0), tzinfo=zone)
    at = opening(times, tomorrow) or tomorrow
    text = _("Called %(count)d times today, which is the most; again from %(when)s.")
    return Verdict(
        may_call=False, reason=WaitReason.DAILY_CAP, at=at, text=text % {"count": busiest, "when": moment_text(at, zone, facts.now)}
    )


def _all_busy(agent: CallingAgent | None, facts: Facts) -> Verdict | None:
    if agent is None or agent.kind != AgentKind.AUTOMATED or facts.lines_in_use.get(agent.pk, 0) < agent.most_calls:
        return None
    return Verdict(may_call=False, reason=WaitReason.NO_CAPACITY, text=_("All of the agent's lines are busy."))


def moment_text(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """A moment as people say it where they are: the weekday within a week, else the day."""
    local = at.astimezone(zone)
    day = "%a %H:%M" if timedelta() <= at - now < timedelta(days=6) else "%d %b %Y %H:%M"
    return f"{local:{day}} ({zone.key.rpartition('/')[2].replace('_', ' ')})"


# --- reading ---


def why_not(*, entries: Sequence[QueueEntry], now: datetime, user_id: int | None = None) -> dict[int, Verdict]:
    """By entry, whether it may be called now and else why not; for a person, what waits for them may."""
    cases = [Candidate.of(entry) for entry in entries]
    facts = facts_for(cases, now=now, user_id=user_id)
    return {case.entry_id: verdict(case, facts) for case in cases if case.entry_id is not None}


def may_call_number(
    *, phone: str, agent: CallingAgent | None, zone: str = "", lead_id: int | None = None, now: datetime, at_once: bool = False
) -> Verdict:
    """Whether a number may be called by hand, in an agent's name or in nobody's. Called `at_once`, the agent's hours are not asked."""
    case = Candidate(phone=phone, zones=zones_for(phone, zone), agent_id=agent.pk if agent else None, lead_id=lead_id, is_immediate=at_once)
    return verdict(case, facts_for([case], now=now))


def facts_for(
    cases: Sequence[Candidate], *, now: datetime, user_id: int | None = None, holder: str = "", agents: Iterable[CallingAgent] = ()
) -> Facts:
    """Read what decides for these candidates."""
    known = {agent.pk: agent for agent in agents}
    wanted = {case.agent_id for case in cases if case.agent_id is not None} - known.keys()
    if wanted:
        known |= CallingAgent.objects.in_bulk(wanted)
    facts = Facts(
        now=now,
        settings=settings_now(),
        agents=known,
        hours={pk: hours_of(agent) for pk, agent in known.items()},
        holder=holder,
        user_id=user_id,
    )
    phones = list({case.phone for case in cases})
    leads = list({case.lead_id for case in cases if case.lead_id is not None})
    _read_blocked(facts, phones)
    _read_calls(facts, phones, leads)
    facts.gone = set(Lead.objects.filter(pk__in=leads, deleted_at__isnull=False).values_list("pk", flat=True)) if leads else set()
    automated = [pk for pk, agent in known.items() if agent.kind == AgentKind.AUTOMATED]
    facts.lines_in_use = live_calls(automated) if automated else {}
    return facts


def _read_blocked(facts: Facts, phones: list[str]) -> None:
    rows = DoNotCall.objects.filter(phone__in=phones).order_by()
    # A day is over when it is over everywhere.
    for phone, agent_id, until in rows.filter(Q(until=None) | Q(until__gte=(facts.now - timedelta(days=1)).date())).values_list(
        "phone", "agent_id", "until"
    ):
        here = facts.now.astimezone(zones_for(phone)[0]).date()
        if until is None or until >= here:
            facts.blocked[phone, agent_id] = until


def _read_calls(facts: Facts, phones: list[str], leads: list[int]) -> None:
    facts.live = dict(Call.objects.filter(phone__in=phones, status__in=LIVE).order_by().values_list("phone", "entry_id"))
    since = facts.now - timedelta(days=2)
    placed = Call.objects.filter(created_at__gte=since).exclude(result=CallResult.NOT_PLACED).order_by()
    for phone, at in placed.filter(phone__in=phones).values_list("phone", "created_at"):
        facts.recent[phone].append(at)
    for lead_id, at in placed.filter(lead_id__in=leads).values_list("lead_id", "created_at") if leads else ():
        facts.recent_of_lead[lead_id].append(at)


def live_calls(agent_ids: Sequence[int]) -> dict[int, int]:
    """How many calls each of these agents has at the moment."""
    live = Call.objects.filter(agent_id__in=agent_ids, status__in=LIVE).order_by().values("agent_id")
    return dict(live.annotate(n=Count("pk")).values_list("agent_id", "n"))


def hours_of(agent: CallingAgent) -> WorkingTime:
    """When an agent calls: its own hours, zone and holidays, else the company's."""
    tenant, usual = current_tenant(), tenant_time()
    holidays = frozenset(agent.holidays) | (usual.holidays if agent.keeps_tenant_holidays else frozenset())
    return WorkingTime(
        zone=ZoneInfo(agent.time_zone or tenant.time_zone), week=read_week(agent.business_hours or tenant.working_hours), holidays=holidays
    )


def abandoned_share(agent_id: int | None, *, now: datetime) -> Decimal:
    """Of the calls that a person answered in the last 30 days, the percentage that found nobody free."""
    since = (now - timedelta(days=ABANDON_DAYS)).astimezone(ZoneInfo(current_tenant().time_zone)).date()
    counts = AgentCount.objects.filter(day__gte=since)
    if agent_id is not None:
        counts = counts.filter(agent_id=agent_id)
    answered = [result for result in CallResult if result.outcome == CallOutcome.ANSWERED]
    sums = counts.aggregate(all=Sum("calls", filter=Q(result__in=answered)), abandoned=Sum("calls", filter=Q(result=CallResult.ABANDONED)))
    return Decimal(100) * (sums["abandoned"] or 0) / sums["all"] if sums["all"] else Decimal(0)


@lru_cache(maxsize=20_000)
def opening(times: tuple[WorkingTime, ...], at: datetime) -> datetime | None:
    """`common_opening`, remembered: many entries of one zone ask at the same moment."""
    return common_opening(times, at)


@lru_cache(maxsize=4096)
def _windows(zones: tuple[ZoneInfo, ...], start: time, end: time, days: tuple[int, ...]) -> tuple[WorkingTime, ...]:
    settings = DialerSettings(window_start=start, window_end=end, window_days=list(days))
    return tuple(window_in(zone, settings) for zone in zones)
