"""An automated agent's queue, from what is due to what came of it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from activities.models import Activity
from crm.registry import merge_participants
from crm.tenancy.models import Tenant
from dialer.enums import CallStatus, EntryStatus, WaitReason
from dialer.models import AgentJob, Call, CallCount, CallingAgent, DoNotCall, QueueEntry, RetryRule, SimulatedStep
from dialer.receivers import call_again
from dialer.services import placing, scheduling
from dialer.services.claiming import claim_due
from dialer.services.limits import why_not
from dialer.services.placing import LEASE
from dialer.services.summaries import transcript_of
from leads.events import LeadsRestored
from leads.models import Lead
from tests.dialer.services.cast import NOON, calls_of, make_agent, make_entry, make_settings, pass_time, phone_with, run, working
from tests.factories import inside, make_lead, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(tenant: Tenant) -> CallingAgent:
    return make_agent(tenant, max_attempts=3, retry_delay_minutes=60)


def _fresh(entry: QueueEntry) -> QueueEntry:
    with inside(entry.tenant_id):
        return QueueEntry.objects.get(pk=entry.pk)


def test_a_call_answered_and_completed_is_on_the_timeline(agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))

    assert run(agent, NOON) == 1
    (call,) = calls_of(entry)
    assert (call.status, call.attempt, call.lead_name, call.provider_call_id) == (CallStatus.QUEUED, 1, "Jane", f"sim-{call.public_id}")
    assert _fresh(entry).status == EntryStatus.IN_PROGRESS
    pass_time(NOON)

    (call,) = calls_of(entry)
    assert (call.status, call.result, call.outcome) == ("completed", "completed", "answered")
    assert call.duration_seconds > 0
    assert call.summary
    after = _fresh(entry)
    assert (after.status, after.disposition, after.attempts_count, after.last_result) == ("done", "completed", 1, "completed")
    with inside(agent.tenant_id):
        (activity,) = Activity.objects.filter(lead=entry.lead_id)
        assert (activity.pk, activity.activity_type, activity.status, activity.outcome) == (
            call.activity_id,
            "call",
            "completed",
            "Spoke with them",
        )
        assert transcript_of(call).startswith("Agent: Good day")
        assert {(row.result, row.calls) for row in CallCount.objects.all()} == {("completed", 1)}
    assert SimulatedStep.objects.count() == 0


def test_no_answer_waits_for_the_retry_and_stops_after_the_last_attempt(agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("no_answer", attempts=3))
    now = NOON
    for attempt in (1, 2):
        assert run(agent, now) == 1
        now = pass_time(now, 60)
        waiting = _fresh(entry)
        assert (waiting.status, waiting.attempts_count, waiting.waits_for) == ("in_progress", attempt, "retry")
        ended = calls_of(entry)[-1].ended_at
        assert ended is not None
        assert waiting.next_at >= ended + timedelta(minutes=60)
        assert run(agent, waiting.next_at - timedelta(seconds=1)) == 0
        now = waiting.next_at
    assert run(agent, now) == 1
    pass_time(now, 60)
    done = _fresh(entry)
    assert (done.status, done.disposition, done.attempts_count) == ("done", "no_answer", 3)
    assert run(agent, now + timedelta(days=3)) == 0


def test_a_rule_decides_delay_count_and_disposition(agent: CallingAgent) -> None:
    with inside(agent.tenant_id):
        RetryRule.objects.create(tenant_id=agent.tenant_id, agent=agent, result="busy", delay_minutes=5, most_tries=0, disposition="failed")
        RetryRule.objects.create(tenant_id=agent.tenant_id, agent=agent, result="no_answer", delay_minutes=7, most_tries=2)
    busy, out = make_entry(agent, phone=phone_with("busy")), make_entry(agent, phone=phone_with("no_answer"))
    run(agent, NOON)
    pass_time(NOON, 60)
    assert (_fresh(busy).status, _fresh(busy).disposition) == ("done", "failed")
    assert _fresh(out).next_at == NOON + timedelta(minutes=7, seconds=60) or _fresh(out).next_at >= NOON + timedelta(minutes=7)


def test_who_asks_not_to_be_called_is_not_by_any_agent(agent: CallingAgent, tenant: Tenant) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="do_not_call"))
    other = make_agent(tenant)
    again = make_entry(other, phone=entry.phone, lead=Lead(pk=entry.lead_id), next_at=NOON + timedelta(minutes=30))
    run(agent, NOON)
    pass_time(NOON)
    assert (_fresh(entry).disposition, calls_of(entry)[0].result) == ("do_not_call", "do_not_call")
    with working(tenant):
        assert DoNotCall.objects.get().phone == entry.phone
    assert run(other, NOON + timedelta(hours=1)) == 0
    with working(tenant):
        found = why_not(entries=[_fresh(again)], now=NOON + timedelta(hours=1))[again.pk]
    assert (found.may_call, found.reason) == (False, WaitReason.DO_NOT_CALL)


def test_a_callback_is_planned_and_done_when_called(agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="callback"))
    run(agent, NOON)
    pass_time(NOON)
    waiting = _fresh(entry)
    assert (waiting.status, waiting.waits_for) == ("in_progress", "callback")
    with inside(agent.tenant_id):
        planned = Activity.objects.get(lead=entry.lead_id, status="pending")
    assert (planned.activity_type, planned.due_at, planned.pk) == ("call", waiting.next_at, waiting.callback_activity_id)
    assert run(agent, waiting.next_at) == 1
    pass_time(waiting.next_at)
    with inside(agent.tenant_id):
        planned.refresh_from_db()
    assert planned.status == "completed"


def test_a_number_is_never_in_two_calls(tenant: Tenant, agent: CallingAgent) -> None:
    phone = phone_with("human", result="completed")
    first, second = make_entry(agent, phone=phone), None
    other = make_agent(tenant)
    second = make_entry(other, phone=phone, lead=Lead(pk=first.lead_id))
    assert (run(agent, NOON), run(other, NOON)) == (1, 0)
    assert (_fresh(second).waits_for, _fresh(second).next_at) == (WaitReason.NUMBER_BUSY, NOON + timedelta(minutes=5))


def test_lines_are_not_exceeded(tenant: Tenant) -> None:
    agent = make_agent(tenant, most_calls=2)
    for _ in range(5):
        make_entry(agent)
    assert [run(agent, NOON), run(agent, NOON)] == [2, 0]
    pass_time(NOON, 900)
    assert run(agent, NOON + timedelta(minutes=15)) == 2


def test_outside_hours_holidays_and_windows_nobody_is_called(tenant: Tenant) -> None:
    hours = {str(day): ["09:00", "17:00"] for day in range(5)}
    agent = make_agent(tenant, business_hours=hours, time_zone="America/New_York", holidays=[date(2025, 6, 11)])
    early = datetime(2025, 6, 10, 13, 30, tzinfo=UTC)  # 09:30 in New York, 06:30 in Los Angeles
    make_entry(agent, phone="+12125550177", next_at=early)
    los_angeles = make_entry(agent, phone="+12135550177", next_at=early)
    assert run(agent, early - timedelta(hours=1)) == 0
    assert run(agent, early) == 1
    assert (_fresh(los_angeles).waits_for, _fresh(los_angeles).next_at) == ("outside_window", datetime(2025, 6, 10, 15, tzinfo=UTC))
    make_entry(agent, phone="+12125550178")
    assert run(agent, datetime(2025, 6, 11, 15, tzinfo=UTC)) == 0
    assert run(agent, datetime(2025, 6, 12, 15, tzinfo=UTC)) == 2


def test_a_call_asked_for_at_once_does_not_wait_for_the_agents_hours_but_for_the_leads(tenant: Tenant) -> None:
    agent = make_agent(tenant, business_hours={"0": ["09:00", "10:00"]}, time_zone="America/New_York")
    make_entry(agent, phone="+12125550179", is_immediate=True)
    late = make_entry(agent, phone="+12125550180", is_immediate=True, next_at=NOON + timedelta(hours=11))
    assert run(agent, NOON) == 1
    assert run(agent, NOON + timedelta(hours=12)) == 0  # 23:00 there
    assert _fresh(late).waits_for == "outside_window"


def test_the_days_limit_of_a_number_and_of_a_lead(tenant: Tenant) -> None:
    make_settings(tenant, most_calls_a_day=2)
    agent = make_agent(tenant, max_attempts=9, retry_delay_minutes=1)
    lead = make_lead(tenant, first_name="Jane", phone="+12125550181")
    entry = make_entry(agent, phone=phone_with("busy"), lead=lead)
    with inside(tenant.pk):
        for hours in (1, 2):
            Call.objects.create(
                tenant=tenant, lead=lead, lead_name="Jane", phone="+12125550999", status="completed", result="no_answer", outcome="no_answer",
                ended_at=NOON - timedelta(hours=hours), created_at=NOON - timedelta(hours=hours), provider="simulator",
            )  # fmt: skip
    assert run(agent, NOON) == 0
    waiting = _fresh(entry)
    assert (waiting.waits_for, waiting.next_at) == ("daily_cap", datetime(2025, 6, 11, 12, tzinfo=UTC))
    assert run(agent, waiting.next_at) == 1


def test_deleted_leads_and_paused_agents_are_left(tenant: Tenant, agent: CallingAgent) -> None:
    entry = make_entry(agent)
    with inside(tenant.pk):
        Lead.objects.filter(pk=entry.lead_id).update(deleted_at=NOON)
    assert run(agent, NOON) == 0
    assert _fresh(entry).waits_for == "lead_gone"
    with inside(tenant.pk):
        CallingAgent.objects.update(is_active=False)
        Lead.objects.filter(pk=entry.lead_id).update(deleted_at=None)
    assert run(agent, NOON + timedelta(days=2)) == 0
    with working(tenant):
        assert why_not(entries=[_fresh(entry)], now=NOON)[entry.pk].reason == "agent_paused"


def test_a_lead_deleted_during_its_call_has_no_activity_and_the_entry_still_ends(agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    run(agent, NOON)
    with inside(agent.tenant_id):
        Lead.objects.filter(pk=entry.lead_id).update(deleted_at=NOON)
    pass_time(NOON)
    assert (_fresh(entry).status, calls_of(entry)[0].activity_id) == ("done", None)


def test_a_worker_killed_before_placing_leaves_the_entry_to_be_called_again(agent: CallingAgent, tenant: Tenant) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    with working(tenant) as by:
        claimed = claim_due(agent_id=agent.pk, most=5, worker="dead", now=NOON, by=by)
    assert len(claimed.calls) == 1
    assert run(agent, NOON + timedelta(seconds=30)) == 0
    assert placing.return_leases(now=NOON + LEASE) == 1
    (call,) = calls_of(entry)
    assert (call.status, call.result, call.outcome) == ("failed", "not_placed", "")
    waiting = _fresh(entry)
    assert (waiting.status, waiting.attempts_count, waiting.held_by) == ("new", 0, "")
    assert run(agent, waiting.next_at) == 1
    pass_time(waiting.next_at)
    assert _fresh(entry).disposition == "completed"


def test_a_worker_killed_after_placing_loses_nothing(agent: CallingAgent, tenant: Tenant) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    with working(tenant) as by:
        (call,) = claim_due(agent_id=agent.pk, most=5, worker="dead", now=NOON, by=by).calls
        settings = placing.settings_now()
        placing.provider_of(settings).place([placing.order_for(call, agent, settings)], now=NOON)
    assert placing.return_leases(now=NOON + LEASE) == 1
    assert calls_of(entry)[0].provider_call_id == f"sim-{call.public_id}"
    pass_time(NOON)
    assert (_fresh(entry).disposition, len(calls_of(entry))) == ("completed", 1)


def test_jobs_find_the_agents_that_call(agent: CallingAgent, tenant: Tenant) -> None:
    people = make_agent(tenant, kind="human")
    entry = make_entry(agent)
    make_entry(people)
    assert scheduling.schedule(now=NOON) == 1
    assert AgentJob.objects.get().agent_id == agent.pk
    assert scheduling.run_due(now=NOON) == 1
    assert _fresh(entry).status == "in_progress"
    assert AgentJob.objects.get().due_at == NOON + scheduling.EVERY
    with inside(tenant.pk):
        CallingAgent.objects.filter(pk=agent.pk).update(is_active=False)
    assert scheduling.schedule(now=NOON) == 0
    assert AgentJob.objects.count() == 0


def test_another_tenants_queue_is_untouched(agent: CallingAgent) -> None:
    stranger = make_agent(make_tenant("elsewhere"))
    phone = phone_with("human", result="completed")
    mine, theirs = make_entry(agent, phone=phone), make_entry(stranger, phone=phone)
    assert run(agent, NOON) == 1
    assert (_fresh(theirs).status, calls_of(theirs)) == ("new", [])
    assert run(stranger, NOON) == 1
    pass_time(NOON)
    assert {_fresh(mine).status, _fresh(theirs).status} == {"done"}


def test_a_lead_that_comes_back_from_the_bin_is_called_again(tenant: Tenant, agent: CallingAgent) -> None:
    entry = make_entry(agent)
    with inside(tenant.pk):
        Lead.objects.filter(pk=entry.lead_id).update(deleted_at=NOON)
    assert run(agent, NOON) == 0
    assert _fresh(entry).next_at > NOON + timedelta(hours=12)
    with working(tenant):
        Lead.objects.filter(pk=entry.lead_id).update(deleted_at=None)
        call_again(LeadsRestored(lead_ids=(entry.lead_id,)))
    assert _fresh(entry).next_at <= timezone.now()


def test_calls_and_entries_go_along_with_a_merged_lead(tenant: Tenant, agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    winner = make_lead(tenant, first_name="Winner", phone="+12125550171")
    run(agent, NOON)
    with working(tenant) as by:
        for name in ("dialer.QueueEntry", "dialer.Call"):
            (participant,) = [item for item in merge_participants.of("leads.Lead") if item.name == name]
            assert participant.move(source_id=entry.lead_id, target_id=winner.pk, by=by)
    pass_time(NOON)
    (call,) = calls_of(entry)
    with inside(tenant.pk):
        assert Activity.objects.get(pk=call.activity_id).lead_id == winner.pk
    assert (_fresh(entry).status, _fresh(entry).lead_id) == ("done", winner.pk)
