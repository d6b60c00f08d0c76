"""Start, stop and move the clocks of service levels, set-wise, from what the leads are now.

`refresh_clocks` may be run at any time and any number of times: it makes the clocks what they should be. What is due is for
`escalation` to say; here no clock becomes due soon or breached that somebody could have been told of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
from django.db.models import Q
from phonenumbers.timezone import time_zones_for_number

from crm.bulk import insert_records
from crm.conditions import read_conditions
from crm.errors import InvalidInput
from crm.identity.hours import tenant_time, time_in_zone, user_time
from crm.identity.models import User
from crm.worktime import WorkingTime
from leads.enums import StatusCategory
from leads.filters import LeadFilters
from leads.filters.custom import with_custom_fields
from leads.models import Lead
from leads.selectors import vocabulary
from pipeline.enums import SlaHours, SlaKind, SlaState
from pipeline.models import LeadStage, SlaClock, SlaPolicy

_ALWAYS = WorkingTime(zone=ZoneInfo("UTC"))
_LEAD_COLUMNS = ("id", "phone", "owner_id", "status_id", "created_at", "last_contact_at", "deleted_at")
_TIMES = ("policy_id", "soon_at", "due_at", "next_at", "state", "steps_done", "ended_at")
_FEW = 20


def condition_of(policy: SlaPolicy) -> Q:
    """The leads that a policy is for. Raises InvalidInput where its conditions name what is not there any more."""
    if not policy.conditions:
        return Q()
    q, texts = read_conditions(policy.conditions, LeadFilters.condition_fields())
    for text in texts:
        # A handful of leads is looked at, which needs no index.
        q &= Q(text.rows)
    return with_custom_fields(q, None)


@dataclass
class Times:
    """Whose working time counts, read once for many leads."""

    people: dict[int, User]
    _known: dict[tuple[str, object], WorkingTime] = field(default_factory=dict)

    @classmethod
    def of(cls, owner_ids: Iterable[int | None]) -> "Times":
        return cls(people=User.objects.in_bulk({pk for pk in owner_ids if pk is not None}))

    def for_lead(self, policy: SlaPolicy, *, owner_id: int | None, phone: str) -> WorkingTime:
        match policy.hours:
            case SlaHours.ALWAYS:
                return _ALWAYS
            case SlaHours.TEAM if owner_id in self.people:
                return self._remembered("user", owner_id)
            case SlaHours.LEAD if (zone := zone_of_phone(phone)) is not None:
                return self._remembered("zone", zone)
        return self._remembered("tenant", None)

    def _remembered(self, kind: str, of: object) -> WorkingTime:
        key = (kind, of)
        if key not in self._known:
            match kind:
                case "user":
                    self._known[key] = user_time(self.people[of])  # type: ignore[index]
                case "zone":
                    self._known[key] = time_in_zone(of)  # type: ignore[arg-type]
                case _:
                    self._known[key] = tenant_time()
        return self._known[key]


def zone_of_phone(phone: str) -> ZoneInfo | None:
    """The time zone that a number lies in, or the first of several."""
    if not phone.startswith("+"):
        return None
    try:
        names = time_zones_for_number(phonenumbers.parse(phone))
        return ZoneInfo(names[0]) if names and names[0] != "Etc/Unknown" else None
    except (phonenumbers.NumberParseException, KeyError, ValueError):
        return None


def set_times(clock: SlaClock, policy: SlaPolicy, hours: WorkingTime, now: datetime) -> None:
    """Work out when a running clock is due, and what comes next; a due time put off takes a breach back."""
    left = timedelta(minutes=policy.target_minutes) - clock.spent_before
    early = timedelta(minutes=policy.target_minutes * policy.due_soon_share / 100) - clock.spent_before
    # Of a clock that was stopped when its time had run out already, the moments stay what they were.
    if left > timedelta() or clock.due_at is None:
        clock.due_at = hours.later(clock.running_since, max(left, timedelta()))
    if early > timedelta() or clock.soon_at is None:
        clock.soon_at = hours.later(clock.running_since, max(early, timedelta()))
    if clock.paused_at is not None:
        clock.state, clock.next_at = SlaState.PAUSED, None
        return
    put_off = clock.state == SlaState.BREACHED and (clock.due_at is None or clock.due_at > now)
    if clock.state == SlaState.PAUSED or put_off:
        clock.state = state_at(clock, now)
    elif clock.state == SlaState.DUE_SOON and (clock.soon_at is None or clock.soon_at > now):
        clock.state = SlaState.ON_TRACK
    set_next(clock, policy, hours)


def state_at(clock: SlaClock, now: datetime) -> SlaState:
    """What the clock's own times say."""
    if clock.due_at is not None and clock.due_at <= now:
        return SlaState.BREACHED
    return SlaState.DUE_SOON if clock.soon_at is not None and clock.soon_at <= now else SlaState.ON_TRACK


def set_next(clock: SlaClock, policy: SlaPolicy, hours: WorkingTime) -> None:
    """The next moment at which something is to be done."""
    moments = []
    if clock.state == SlaState.ON_TRACK and clock.soon_at is not None:
        moments.append(clock.soon_at)
    if clock.state in (SlaState.ON_TRACK, SlaState.DUE_SOON) and clock.due_at is not None:
        moments.append(clock.due_at)
    if clock.steps_done < len(policy.steps):
        moment = moment_of_step(clock, policy, hours, clock.steps_done)
        moments += [moment] if moment is not None else []
    clock.next_at = min(moments, default=None)


def moment_of_step(clock: SlaClock, policy: SlaPolicy, hours: WorkingTime, number: int) -> datetime | None:
    """When a step of the policy is to be taken: so many minutes of working time before or after the clock is due."""
    span = timedelta(minutes=policy.target_minutes + policy.steps[number]["minutes"]) - clock.spent_before
    return hours.later(clock.running_since, max(span, timedelta()))


def refresh_clocks(*, lead_ids: Sequence[int], now: datetime) -> int:
    """Make the clocks of these leads what they should be. Answers how many were made or changed."""
    policies = list(SlaPolicy.objects.filter(is_active=True))
    ids = sorted(set(lead_ids))
    # Locked in the order of their ids, so that two refreshing the same leads come one after the other.
    leads = {row.pk: row for row in Lead.objects.filter(pk__in=ids).order_by("pk").only(*_LEAD_COLUMNS).select_for_update(of=("self",))}
    running = {(clock.lead_id, clock.kind): clock for clock in SlaClock.objects.filter(lead_id__in=ids, ended_at=None)}
    if not policies and not running:
        return 0
    wanted = _wanted(policies, leads)
    times = Times.of(lead.owner_id for lead in leads.values())
    began = {(lead_id, kind): (policy, start) for lead_id, kind, policy, start in wanted}
    changed = [clock for key, clock in running.items() if key not in began or began[key][1] != clock.started_at]
    _end_all([clock for clock in changed if clock.lead_id in leads], leads, policies)
    made, moved = [], []
    stopped = {clock.pk for clock in changed}
    again = _ended_before(began, running, stopped)
    for (lead_id, kind), (policy, start) in began.items():
        lead = leads[lead_id]
        hours = times.for_lead(policy, owner_id=lead.owner_id, phone=lead.phone)
        clock = running.get((lead_id, kind))
        if clock is not None and clock.pk in stopped:
            clock = None
        clock = clock or again.get((lead_id, kind))
        if clock is None:
            clock = _new_clock(lead, policy, start)
            set_times(clock, policy, hours, now)
            clock.state = state_at(clock, now)
            _pass_over_steps(clock, policy, hours, now)
            made.append(clock)
            continue
        before = tuple(getattr(clock, name) for name in _TIMES)
        _follow(clock, policy, hours, now)
        if tuple(getattr(clock, name) for name in _TIMES) != before:
            moved.append(clock)
    _write(made, moved)
    return len(made) + len(moved) + len(changed)


def _wanted(policies: Sequence[SlaPolicy], leads: dict[int, Lead]) -> list[tuple[int, str, SlaPolicy, datetime]]:
    """The clocks that should run: lead, kind, policy and since when. Of each kind the first policy in order counts."""
    live = [lead for lead in leads.values() if lead.deleted_at is None]
    if not live or not policies:
        return []
    words = vocabulary()
    open_ids = {status.pk for status in words.statuses if status.category == StatusCategory.OPEN}
    stays = {
        lead_id: (status_id, entered_at, came_from)
        for lead_id, status_id, entered_at, came_from in LeadStage.objects.filter(
            lead_id__in=[lead.pk for lead in live], exited_at=None
        ).values_list("lead_id", "status_id", "entered_at", "came_from_id")
    }
    found: dict[tuple[int, str], tuple[SlaPolicy, datetime]] = {}
    for policy in policies:
        starts: dict[int, datetime] = {}
        for lead in live:
            stay = stays.get(lead.pk)
            if stay is None or (lead.pk, policy.kind) in found:
                continue
            if policy.kind == SlaKind.FIRST_RESPONSE:
                if stay[2] is None and stay[0] == words.starting.pk and not _contacted(lead):
                    starts[lead.pk] = lead.created_at
            elif stay[0] == policy.status_id or (policy.status_id is None and stay[0] in open_ids):
                starts[lead.pk] = stay[1]
        if starts:
            matching: Iterable[int] = starts
            if policy.conditions:
                try:
                    matching = Lead.objects.filter(condition_of(policy), pk__in=list(starts)).values_list("pk", flat=True)
                except InvalidInput:
                    matching = ()
            found |= {(pk, policy.kind): (policy, starts[pk]) for pk in matching}
    return [(pk, kind, policy, start) for (pk, kind), (policy, start) in found.items()]


def _contacted(lead: Lead) -> bool:
    return lead.last_contact_at is not None and lead.last_contact_at >= lead.created_at


def _end_all(clocks: Sequence[SlaClock], leads: dict[int, Lead], policies: Sequence[SlaPolicy]) -> None:
    """End the clocks whose work is done; drop those that no policy wants any more."""
    if not clocks:
        return
    ids = {clock.lead_id for clock in clocks}
    ends: dict[tuple[int, datetime], datetime] = {}
    first: dict[int, datetime] = {}
    for lead_id, entered, left, came_from in LeadStage.objects.filter(lead_id__in=ids, exited_at__isnull=False).values_list(
        "lead_id", "entered_at", "exited_at", "came_from_id"
    ):
        ends[lead_id, entered] = max(left, ends.get((lead_id, entered), left))
        if came_from is None:
            first[lead_id] = left
    ended, dropped = [], []
    for clock in clocks:
        lead = leads[clock.lead_id]
        if clock.kind == SlaKind.FIRST_RESPONSE:
            moments = [at for at in (lead.last_contact_at if _contacted(lead) else None, first.get(lead.pk)) if at is not None]
            end = max(min(moments), clock.started_at) if moments else None
        else:
            end = ends.get((lead.pk, clock.started_at))
        if end is None or lead.deleted_at is not None:
            dropped.append(clock.pk)
            continue
        in_time = clock.paused_at is not None or clock.due_at is None or end <= clock.due_at
        clock.state = SlaState.MET if in_time else SlaState.BREACHED
        clock.ended_at, clock.next_at, clock.paused_at = end, None, None
        ended.append(clock)
    SlaClock.objects.filter(pk__in=dropped).delete()
    SlaClock.objects.bulk_update(ended, ["state", "ended_at", "next_at", "paused_at"], batch_size=1000)


def _ended_before(
    began: dict[tuple[int, str], tuple[SlaPolicy, datetime]], running: dict[tuple[int, str], SlaClock], stopped: set[int]
) -> dict[tuple[int, str], SlaClock]:
    """Clocks of the same beginning that had ended: what ended them was taken back."""
    fresh = {key: start for key, (_policy, start) in began.items() if key not in running or running[key].pk in stopped}
    if not fresh:
        return {}
    found = SlaClock.objects.filter(lead_id__in={lead_id for lead_id, _kind in fresh}, ended_at__isnull=False)
    return {(clock.lead_id, clock.kind): clock for clock in found if fresh.get((clock.lead_id, clock.kind)) == clock.started_at}


def _new_clock(lead: Lead, policy: SlaPolicy, start: datetime) -> SlaClock:
    return SlaClock(
        tenant_id=policy.tenant_id, lead_id=lead.pk, policy=policy, kind=policy.kind, started_at=start, running_since=start,
        spent_before=timedelta(),
    )  # fmt: skip


def _follow(clock: SlaClock, policy: SlaPolicy, hours: WorkingTime, now: datetime) -> None:
    """Let a clock follow its policy, its owner's hours, or another policy."""
    if clock.policy_id != policy.pk:
        clock.policy, clock.steps_done = policy, 0
        set_times(clock, policy, hours, now)
        _pass_over_steps(clock, policy, hours, now)
    if clock.ended_at is not None:
        clock.ended_at, clock.state = None, SlaState.ON_TRACK
        set_times(clock, policy, hours, now)
        clock.state = state_at(clock, now)
    set_times(clock, policy, hours, now)


def _pass_over_steps(clock: SlaClock, policy: SlaPolicy, hours: WorkingTime, now: datetime) -> None:
    """Steps whose moment lies behind a clock that was only begun now are not taken: nobody wants mail about last year."""
    clock.steps_done = 0
    while clock.steps_done < len(policy.steps):
        moment = moment_of_step(clock, policy, hours, clock.steps_done)
        if moment is None or moment > now:
            break
        clock.steps_done += 1
    if clock.paused_at is None:
        set_next(clock, policy, hours)


def _write(made: list[SlaClock], moved: list[SlaClock]) -> None:
    if len(made) > _FEW:
        insert_records(made)
    else:
        SlaClock.objects.bulk_create(made)
    SlaClock.objects.bulk_update(moved, [*(name for name in _TIMES if name != "policy_id"), "policy"], batch_size=1000)
