"""Start, stop and move the clocks of service levels, set-wise, from what the leads are now.

`refresh_clocks` may be run at any time and any number of times: it makes the clocks what they should be. What is due is for
`escalation` to say; here no clock becomes due soon or breached that somebody could have been told of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
from django.db.models import F, Q
from phonenumbers.timezone import time_zones_for_number

from crm.bulk import insert_records, update_records
from crm.conditions import read_conditions
from crm.errors import InvalidInput
from crm.identity.hours import tenant_time, time_in_zone, user_time
from crm.identity.models import User
from crm.listing import AmongIds
from crm.worktime import WorkingTime
from leads.enums import StatusCategory
from leads.filters import LeadFilters
from leads.filters.custom import with_custom_fields
from leads.models import Lead
from leads.selectors import vocabulary
from pipeline.enums import SlaHours, SlaKind, SlaState
from pipeline.models import LeadStage, SlaClock, SlaPolicy
from pipeline.services.timetable import Timetable, timetable_of

_ALWAYS = timetable_of(WorkingTime(zone=ZoneInfo("UTC")))
_LEAD_COLUMNS = ("pk", "phone", "owner_id", "created_at", "last_contact_at", "deleted_at")
_TIMES = ("policy_id", "owner_id", "soon_at", "due_at", "next_at", "state", "steps_done", "ended_at")
_times_of = attrgetter(*_TIMES)
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
    _known: dict[tuple[str, object], Timetable] = field(default_factory=dict)

    @classmethod
    def of(cls, owner_ids: Iterable[int | None]) -> "Times":
        return cls(people=User.objects.in_bulk({pk for pk in owner_ids if pk is not None}))

    def for_lead(self, policy: SlaPolicy, *, owner_id: int | None, phone: str) -> Timetable:
        match policy.hours:
            case SlaHours.ALWAYS:
                return _ALWAYS
            case SlaHours.TEAM if owner_id in self.people:
                return self._remembered("user", owner_id)
            case SlaHours.LEAD if (zone := zone_of_phone(phone)) is not None:
                return self._remembered("zone", zone)
        return self._remembered("tenant", None)

    def _remembered(self, kind: str, of: object) -> Timetable:
        key = (kind, of)
        if key not in self._known:
            match kind:
                case "user":
                    hours = user_time(self.people[of])  # type: ignore[index]
                case "zone":
                    hours = time_in_zone(of)  # type: ignore[arg-type]
                case _:
                    hours = tenant_time()
            self._known[key] = timetable_of(hours)
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


def set_times(clock: SlaClock, policy: SlaPolicy, hours: Timetable, now: datetime) -> None:
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


def set_next(clock: SlaClock, policy: SlaPolicy, hours: Timetable) -> None:
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


def moment_of_step(clock: SlaClock, policy: SlaPolicy, hours: Timetable, number: int) -> datetime | None:
    """When a step of the policy is to be taken: so many minutes of working time before or after the clock is due."""
    span = timedelta(minutes=policy.target_minutes + policy.steps[number]["minutes"]) - clock.spent_before
    return hours.later(clock.running_since, max(span, timedelta()))


class _OfLeads(AmongIds):
    """The same, for rows that belong to leads."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(ids)
        self.parts[0] = F("lead_id")


class LeadTimes(NamedTuple):
    """What of a lead its clocks depend on."""

    pk: int
    phone: str
    owner_id: int | None
    created_at: datetime
    last_contact_at: datetime | None
    deleted_at: datetime | None


def refresh_clocks(*, lead_ids: Sequence[int], now: datetime) -> int:
    """Make the clocks of these leads what they should be. Answers how many were made or changed."""
    policies = list(SlaPolicy.objects.filter(is_active=True))
    ids = sorted(set(lead_ids))
    under_way = SlaClock.objects.filter(_OfLeads(ids), ended_at=None)
    if not policies and not under_way.exists():
        return 0
    # Locked in the order of their ids, so that two refreshing the same leads come one after the other.
    locked = Lead.objects.filter(AmongIds(ids)).order_by("pk").select_for_update(of=("self",)).values_list(*_LEAD_COLUMNS)
    leads = {row[0]: LeadTimes(*row) for row in locked}
    running = {(clock.lead_id, clock.kind): clock for clock in under_way}
    began = _wanted(policies, leads)
    times = Times.of({lead.owner_id for lead in leads.values()})
    changed = [clock for key, clock in running.items() if key not in began or began[key][1] != clock.started_at]
    _end_all([clock for clock in changed if clock.lead_id in leads], leads)
    for clock in changed:
        del running[clock.lead_id, clock.kind]
    again = _ended_before({key: start for key, (_policy, start) in began.items() if key not in running})
    made, moved = [], []
    for key, (policy, start) in began.items():
        lead = leads[key[0]]
        hours = times.for_lead(policy, owner_id=lead.owner_id, phone=lead.phone)
        clock = running.get(key) or again.get(key)
        if clock is None:
            made.append(_new_clock(lead, policy, start, hours, now))
        elif _follow(clock, lead, policy, hours, now):
            moved.append(clock)
    _write(made, moved)
    return len(made) + len(moved) + len(changed)


def _wanted(policies: Sequence[SlaPolicy], leads: dict[int, LeadTimes]) -> dict[tuple[int, str], tuple[SlaPolicy, datetime]]:
    """The clocks that should run: by lead and kind the policy, and since when. Of each kind the first policy in order counts."""
    live = [lead for lead in leads.values() if lead.deleted_at is None]
    if not live or not policies:
        return {}
    words = vocabulary()
    open_ids = {status.pk for status in words.statuses if status.category == StatusCategory.OPEN}
    stays = {
        lead_id: (status_id, entered_at, came_from)
        for lead_id, status_id, entered_at, came_from in LeadStage.objects.filter(
            _OfLeads([lead.pk for lead in live]), exited_at=None
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
                    matching = Lead.objects.filter(condition_of(policy), AmongIds(list(starts))).values_list("pk", flat=True)
                except InvalidInput:
                    matching = ()
            found |= {(pk, policy.kind): (policy, starts[pk]) for pk in matching}
    return found


def _contacted(lead: LeadTimes) -> bool:
    return lead.last_contact_at is not None and lead.last_contact_at >= lead.created_at


def _end_all(clocks: Sequence[SlaClock], leads: dict[int, LeadTimes]) -> None:
    """End the clocks whose work is done; drop those that no policy wants any more."""
    if not clocks:
        return
    ids = list({clock.lead_id for clock in clocks})
    ends: dict[tuple[int, datetime], datetime] = {}
    first: dict[int, datetime] = {}
    for lead_id, entered, left, came_from in LeadStage.objects.filter(_OfLeads(ids), exited_at__isnull=False).values_list(
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
    SlaClock.objects.filter(AmongIds(dropped)).delete()
    _store(ended, ("state", "ended_at", "next_at", "paused_at"))


def _ended_before(begun: dict[tuple[int, str], datetime]) -> dict[tuple[int, str], SlaClock]:
    """Clocks of the same beginning that had ended: what ended them was taken back."""
    if not begun:
        return {}
    found = SlaClock.objects.filter(_OfLeads(list({lead_id for lead_id, _kind in begun})), ended_at__isnull=False)
    return {(clock.lead_id, clock.kind): clock for clock in found if begun.get((clock.lead_id, clock.kind)) == clock.started_at}


def _new_clock(lead: LeadTimes, policy: SlaPolicy, start: datetime, hours: Timetable, now: datetime) -> SlaClock:
    clock = SlaClock(
        tenant_id=policy.tenant_id, lead_id=lead.pk, owner_id=lead.owner_id, policy_id=policy.pk, kind=policy.kind, started_at=start, running_since=start,
        spent_before=timedelta(),
    )  # fmt: skip
    set_times(clock, policy, hours, now)
    clock.state = state_at(clock, now)
    _pass_over_steps(clock, policy, hours, now)
    return clock


def _follow(clock: SlaClock, lead: LeadTimes, policy: SlaPolicy, hours: Timetable, now: datetime) -> bool:
    """Let a clock follow its policy, its owner's hours, or another policy. Answers whether anything of it changed."""
    before = _times_of(clock)
    clock.owner_id = lead.owner_id
    if clock.policy_id != policy.pk:
        clock.policy_id, clock.steps_done = policy.pk, 0
        set_times(clock, policy, hours, now)
        _pass_over_steps(clock, policy, hours, now)
    if clock.ended_at is not None:
        clock.ended_at, clock.state = None, SlaState.ON_TRACK
        set_times(clock, policy, hours, now)
        clock.state = state_at(clock, now)
    set_times(clock, policy, hours, now)
    return _times_of(clock) != before


def _pass_over_steps(clock: SlaClock, policy: SlaPolicy, hours: Timetable, now: datetime) -> None:
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
    _store(moved, _TIMES)


def _store(clocks: list[SlaClock], names: Sequence[str]) -> None:
    # A handful is quicker without a temporary table.
    if len(clocks) > _FEW:
        update_records(clocks, names)
    else:
        SlaClock.objects.bulk_update(clocks, names)
