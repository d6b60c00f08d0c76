"""Queues of the demo with a few weeks of calls behind them: two dialled by the machine, one worked by people.

The first by name is one of the machine's that is in use: who tries document 2's calls takes that one, and they are made by themselves.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm.bulk import insert_records
from crm.identity.models import User
from dialer.enums import AgentKind, CallResult, CallStatus, DialMode, Disposition, EntryStatus, WaitReason
from dialer.models import Call, CallingAgent, DialerSettings, DoNotCall, QueueEntry, RetryRule
from leads.enums import StatusCategory
from leads.models import Lead

WEEKS = 3
_EACH = 140
_OFFICE = {str(day): ["09:00", "17:30"] for day in range(5)}
_AGENTS: tuple[dict[str, Any], ...] = (
    {
        "name": "New leads desk", "kind": AgentKind.HUMAN, "mode": DialMode.PREVIEW, "business_hours": _OFFICE, "max_attempts": 4, "retry_delay_minutes": 120,
        "script": "Hello {first_name}, this is {me}. You asked us about better follow-up at {company}. Is this a good moment?",
    },
    {
        "name": "Ending trials", "kind": AgentKind.AUTOMATED, "business_hours": _OFFICE, "max_attempts": 3, "retry_delay_minutes": 90, "most_calls": 3,
        "script": "Good day {first_name}, your trial of our sales desk ends this week. Shall somebody call you about the next step?",
    },
    {
        "name": "Event invitations", "kind": AgentKind.AUTOMATED, "is_active": False, "business_hours": _OFFICE, "max_attempts": 2, "retry_delay_minutes": 240,
        "most_calls": 5, "script": "Good day {first_name}, we would like to invite you to our autumn event for sales teams.",
    },
)  # fmt: skip
_RESULTS = (
    (CallResult.COMPLETED, 28), (CallResult.NO_ANSWER, 30), (CallResult.VOICEMAIL, 14), (CallResult.BUSY, 8), (CallResult.NOT_INTERESTED, 8),
    (CallResult.HUNG_UP, 4), (CallResult.FAILED, 3), (CallResult.WRONG_NUMBER, 2), (CallResult.CALLBACK, 3),
)  # fmt: skip
_ENDS = {
    CallResult.COMPLETED: Disposition.COMPLETED,
    CallResult.NOT_INTERESTED: Disposition.NOT_INTERESTED,
    CallResult.HUNG_UP: Disposition.HUNG_UP,
    CallResult.WRONG_NUMBER: Disposition.WRONG_NUMBER,
}
_STATUSES = {
    CallResult.NO_ANSWER: CallStatus.NO_ANSWER,
    CallResult.BUSY: CallStatus.BUSY,
    CallResult.FAILED: CallStatus.FAILED,
}
_SUMMARIES = (
    "Compares two vendors and decides this month.\nSend the details, please.",
    "The trial went well, the team wants to keep it.\nCall my colleague about the contract.",
    "Has a question about moving the data over.\nThat helps, thank you.",
    "They are pleased with the reports.\nYes, let us do that.",
)


def make_dialer(*, now: datetime, dice: random.Random) -> int:
    """Agents with their queues and past calls. Answers how many calls there are. Nothing is dialled: the demo's company is the simulator."""
    some = (
        Lead.objects.filter(deleted_at=None, status__category=StatusCategory.OPEN, phone__startswith="+")
        .select_related("tenant")
        .order_by("pk")
    )
    leads = {lead.phone: lead for lead in some.defer("search")}
    people = list(User.objects.filter(is_active=True, role__code="sales_rep").order_by("pk"))
    tenant = next(iter(leads.values())).tenant
    DialerSettings.objects.create(tenant=tenant)
    agents = [CallingAgent.objects.create(tenant=tenant, **values) for values in _AGENTS]
    RetryRule.objects.create(tenant=tenant, agent=agents[0], result=CallResult.BUSY, delay_minutes=15, most_tries=2)
    RetryRule.objects.create(
        tenant=tenant, agent=agents[0], result=CallResult.VOICEMAIL, delay_minutes=24 * 60, most_tries=1, another_hour=True
    )
    picked = dice.sample(sorted(leads), min(len(leads), _EACH * len(agents)))
    entries: list[QueueEntry] = []
    calls: list[Call] = []
    for number, agent in enumerate(agents):
        for phone in picked[number :: len(agents)]:
            entry = QueueEntry(
                tenant=tenant, agent=agent, lead=leads[phone], first_name=leads[phone].first_name or leads[phone].display_name[:120], phone=phone,
                created_at=now - timedelta(weeks=WEEKS, days=1),
            )  # fmt: skip
            entries.append(entry)
            _give_past(entry, agent, people, calls, now, dice)
    insert_records(entries)
    for call in calls:
        call.entry_id = call.entry.pk
    Call.objects.bulk_create(sorted(calls, key=lambda call: call.created_at), batch_size=1000)
    quiet = dice.sample(sorted(set(leads) - set(picked)), min(5, len(leads) - len(picked)))
    DoNotCall.objects.bulk_create(DoNotCall(tenant=tenant, phone=phone, reason="Asked for by mail") for phone in quiet)
    return len(calls)


def _give_past(
    entry: QueueEntry, agent: CallingAgent, people: Sequence[User], calls: list[Call], now: datetime, dice: random.Random
) -> None:
    """Calls as they would have come about: one after another until something ended them, or still under way."""
    at = _office_hour(now - timedelta(days=dice.uniform(1, WEEKS * 7)), entry, dice)
    for attempt in range(1, dice.choice((0, 1, 1, 2, 3)) + 1):
        if at > now - timedelta(hours=2) or attempt > agent.max_attempts:
            break
        result = dice.choices([result for result, _ in _RESULTS], [share for _, share in _RESULTS])[0]
        calls.append(_call(entry, agent, people, result, attempt, at, dice))
        entry.attempts_count, entry.last_result, entry.last_called_at, entry.status = attempt, result, at, EntryStatus.IN_PROGRESS
        if result in _ENDS or (attempt == agent.max_attempts and result != CallResult.CALLBACK):
            entry.status, entry.disposition = EntryStatus.DONE, _ENDS.get(result, Disposition.NO_ANSWER)
            break
        at = _office_hour(at + timedelta(minutes=agent.retry_delay_minutes + 1), entry, dice)
    if entry.status != EntryStatus.DONE:
        entry.next_at = entry.schedule_at = max(at, now) + timedelta(minutes=dice.randint(0, 3 * 1440))
        entry.waits_for = WaitReason.RETRY if entry.attempts_count else ""


def _call(
    entry: QueueEntry, agent: CallingAgent, people: Sequence[User], result: CallResult, attempt: int, at: datetime, dice: random.Random
) -> Call:
    talked = 0 if result.outcome != "answered" else dice.randint(3, 7) if result == CallResult.HUNG_UP else dice.randint(40, 600)
    answered = at + timedelta(seconds=dice.randint(4, 20)) if talked else None
    ended = (answered or at) + timedelta(seconds=talked or 25)
    return Call(
        tenant=entry.tenant, entry=entry, lead=entry.lead, agent=agent, user=dice.choice(people) if agent.kind == AgentKind.HUMAN else None,
        lead_name=entry.first_name, phone=entry.phone, agent_name=agent.name, mode=agent.mode if agent.kind == AgentKind.HUMAN else "", attempt=attempt,
        status=_STATUSES.get(result, CallStatus.COMPLETED), result=result, outcome=result.outcome or "", placed_at=at, answered_at=answered, ended_at=ended,
        duration_seconds=talked, previous_at=entry.last_called_at, provider="simulator", created_at=at,
        summary=dice.choice(_SUMMARIES) if result == CallResult.COMPLETED else "",
    )  # fmt: skip


def _office_hour(at: datetime, entry: QueueEntry, dice: random.Random) -> datetime:
    """A moment on a weekday between nine and five, where the tenant is, not before `at`."""
    zone = ZoneInfo(entry.tenant.time_zone)
    local = at.astimezone(zone)
    while local.weekday() > 4 or not 9 <= local.hour < 17:
        local = (local + timedelta(days=local.hour >= 17 or local.weekday() > 4)).replace(hour=9, minute=dice.randint(0, 59))
        local += timedelta(hours=dice.randint(0, 6))
    return local.astimezone(at.tzinfo)
