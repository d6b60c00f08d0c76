"""People at the desk: preview, progressive and power, outcomes, pauses."""

from datetime import datetime, timedelta

import pytest

from activities.models import Activity
from crm.errors import DomainError, InvalidInput, NotFound
from crm.identity.models import User
from crm.tenancy.models import Tenant
from dialer.enums import CallResult, CallStatus, PauseReason, SessionState
from dialer.errors import MayNotCall
from dialer.models import Call, CallingAgent, DialSession, QueueEntry, SessionSpan
from dialer.services import calls, sessions
from dialer.services.calls import StillToSay
from tests.dialer.services.cast import NOON, calls_of, make_agent, make_entry, pass_time, phone_with
from tests.factories import acting, inside

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(tenant: Tenant) -> CallingAgent:
    return make_agent(tenant, kind="human", mode="preview", lines=3)


def _start(user: User, agent: CallingAgent, mode: str = "", now: datetime = NOON) -> DialSession:
    with acting(user) as by:
        return sessions.start_session(agent_id=agent.pk, mode=mode, now=now, by=by)


def _fresh(session: DialSession) -> DialSession:
    with inside(session.tenant_id):
        return DialSession.objects.get(pk=session.pk)


def _entry(entry: QueueEntry) -> QueueEntry:
    with inside(entry.tenant_id):
        return QueueEntry.objects.get(pk=entry.pk)


def _answered_at(now: datetime, entry: QueueEntry) -> datetime:
    """Let time pass until the person picks up, and no longer."""
    for _ in range(40):
        now = pass_time(now, 1)
        if calls_of(entry)[-1].status == CallStatus.IN_PROGRESS:
            return now
    raise AssertionError


def test_preview_dial_talk_say_next(bob: User, agent: CallingAgent) -> None:
    entry, other = make_entry(agent, phone=phone_with("human", result="completed")), make_entry(agent)
    session = _start(bob, agent)
    with acting(bob) as by:
        first = sessions.next_entry(session_id=session.pk, now=NOON, by=by)
        assert first is not None
        assert (first.pk, _fresh(session).state) == (entry.pk, SessionState.PREVIEW)
        assert sessions.next_entry(session_id=session.pk, now=NOON, by=by) == first
        call = sessions.dial(session_id=session.pk, now=NOON, by=by)
        with pytest.raises(DomainError, match="under way"):
            sessions.next_entry(session_id=session.pk, now=NOON, by=by)
    assert (call.user_id, call.session_id, _fresh(session).state) == (bob.pk, session.pk, SessionState.DIALING)
    now = _answered_at(NOON, entry)
    assert _fresh(session).state == SessionState.ON_CALL
    now = pass_time(now, 400)
    assert _fresh(session).state == SessionState.WRAP_UP
    (call,) = calls_of(entry)
    assert (call.awaits_outcome, call.outcome) == (True, "")
    with acting(bob) as by:
        with pytest.raises(StillToSay):
            sessions.next_entry(session_id=session.pk, now=now, by=by)
        with pytest.raises(StillToSay):
            sessions.end_session(session_id=session.pk, now=now, by=by)
        calls.record_outcome(call_id=call.pk, result=CallResult.NOT_INTERESTED, notes="Has a contract.", now=now, by=by)
        assert _fresh(session).state == SessionState.WAITING
        following = sessions.next_entry(session_id=session.pk, now=now, by=by)
        assert following is not None
        assert following.pk == other.pk
        (activity,) = Activity.objects.filter(lead=entry.lead_id)
        assert (activity.user_id, activity.outcome) == (bob.pk, "Not interested")
        assert "Has a contract." in activity.description
        with pytest.raises(DomainError, match="has been said"):
            calls.record_outcome(call_id=call.pk, result=CallResult.COMPLETED, now=now, by=by)
        spans = set(SessionSpan.objects.values_list("state", flat=True))
    assert (_entry(entry).status, _entry(entry).disposition) == ("done", "not_interested")
    assert spans == {"dialing", "on_call", "wrap_up"}


def test_an_unanswered_call_frees_the_desk_by_itself(bob: User, agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("no_answer"))
    session = _start(bob, agent, "progressive")
    with acting(bob) as by:
        assert sessions.next_entry(session_id=session.pk, now=NOON, by=by) == entry
    assert _fresh(session).state == SessionState.DIALING
    pass_time(NOON, 60)
    assert (_fresh(session).state, _entry(entry).waits_for) == (SessionState.WAITING, "retry")


def test_two_people_never_get_the_same(bob: User, alice: User, agent: CallingAgent) -> None:
    make_entry(agent)
    mine, hers = _start(bob, agent), _start(alice, agent)
    with acting(bob) as by:
        assert sessions.next_entry(session_id=mine.pk, now=NOON, by=by) is not None
    with acting(alice) as by:
        assert sessions.next_entry(session_id=hers.pk, now=NOON, by=by) is None


def test_a_callback_for_its_person_comes_first_and_to_nobody_else(bob: User, alice: User, agent: CallingAgent) -> None:
    entry, other = make_entry(agent, callback_for=bob, waits_for="callback", next_at=NOON), make_entry(agent)
    mine, hers = _start(bob, agent), _start(alice, agent)
    with acting(alice) as by:
        assert sessions.next_entry(session_id=hers.pk, now=NOON, by=by) == other
    with acting(bob) as by:
        assert sessions.next_entry(session_id=mine.pk, now=NOON, by=by) == entry


def test_callback_agreed_on_stands_on_the_persons_list(bob: User, agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    session = _start(bob, agent, "progressive")
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)
    now = _answered_at(NOON, entry)
    at = now + timedelta(days=2)
    with acting(bob) as by:
        call = calls_of(entry)[0]
        with pytest.raises(InvalidInput):
            calls.record_outcome(call_id=call.pk, result=CallResult.CALLBACK, now=now, by=by)
        calls.record_outcome(call_id=call.pk, result=CallResult.CALLBACK, callback_at=at, now=now, by=by)
        planned = Activity.objects.get(lead=entry.lead_id, status="pending")
    assert (planned.user_id, planned.due_at) == (bob.pk, at)
    waiting = _entry(entry)
    assert (waiting.next_at, waiting.callback_for_id, waiting.waits_for) == (at, bob.pk, "callback")
    # The line is hung up with it, which is reported later and changes nothing.
    pass_time(now, 5)
    assert (calls_of(entry)[0].result, _fresh(session).state) == ("callback", SessionState.WAITING)


def test_power_joins_the_first_and_abandons_who_finds_nobody_free(bob: User, agent: CallingAgent) -> None:
    entries = [make_entry(agent, phone=phone_with("human", result="completed")) for _ in range(3)]
    session = _start(bob, agent, "power")
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)
    assert [len(calls_of(entry)) for entry in entries] == [1, 1, 1]
    now = NOON
    while _fresh(session).state == SessionState.DIALING:
        now = pass_time(now, 1)
    assert _fresh(session).state == SessionState.ON_CALL
    now = pass_time(now, 2)
    made = [calls_of(entry)[0] for entry in entries]
    joined = [call for call in made if call.status == CallStatus.IN_PROGRESS]
    assert [call.entry_id for call in joined] == [_fresh(session).entry_id]
    assert {call.result for call in made if call not in joined} <= {"no_answer", "abandoned"}
    assert all(call.ended_at for call in made if call not in joined)
    assert _fresh(session).state == SessionState.ON_CALL


def test_too_many_abandoned_leave_one_line(bob: User, agent: CallingAgent) -> None:
    entries = [make_entry(agent) for _ in range(3)]
    with inside(agent.tenant_id):
        for number, result in enumerate(["completed"] * 9 + ["abandoned"]):
            Call.objects.create(
                tenant_id=agent.tenant_id, agent=agent, lead_name="x", phone=f"+1212555{number:04d}", status="completed", result=result,
                outcome="answered", ended_at=NOON - timedelta(days=3), created_at=NOON - timedelta(days=3), provider="simulator",
            )  # fmt: skip
    session = _start(bob, agent, "power")
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)
    assert sum(len(calls_of(entry)) for entry in entries) == 1


def test_silence_pauses_and_the_lead_goes_back_to_the_queue(bob: User, alice: User, agent: CallingAgent) -> None:
    entry = make_entry(agent)
    session = _start(bob, agent)
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)
        sessions.beat(session_id=session.pk, now=NOON + timedelta(seconds=20), by=by)
    assert sessions.pause_silent(now=NOON + timedelta(seconds=40)) == 0
    assert sessions.pause_silent(now=NOON + timedelta(seconds=46)) == 1
    paused = _fresh(session)
    assert (paused.state, paused.pause_reason, paused.entry_id) == (SessionState.PAUSED, PauseReason.LOST_NETWORK, None)
    hers = _start(alice, agent)
    with acting(alice) as by:
        assert sessions.next_entry(session_id=hers.pk, now=NOON + timedelta(seconds=50), by=by) == entry
    with acting(bob) as by:
        with pytest.raises(DomainError, match="Resume"):
            sessions.next_entry(session_id=session.pk, now=NOON, by=by)
        assert sessions.resume(session_id=session.pk, now=NOON + timedelta(seconds=60), by=by).state == SessionState.WAITING
    sessions.pause_silent(now=NOON + timedelta(hours=5))
    assert _fresh(session).state == SessionState.ENDED


def test_pause_skip_and_end(bob: User, agent: CallingAgent) -> None:
    entry = make_entry(agent)
    session = _start(bob, agent)
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)
        sessions.skip_entry(session_id=session.pk, minutes=30, now=NOON, by=by)
        assert _entry(entry).next_at == NOON + timedelta(minutes=30)
        assert sessions.next_entry(session_id=session.pk, now=NOON, by=by) is None
        assert sessions.pause(session_id=session.pk, reason=PauseReason.LUNCH, now=NOON, by=by).pause_reason == "lunch"
        sessions.resume(session_id=session.pk, now=NOON, by=by)
        assert sessions.next_entry(session_id=session.pk, now=NOON + timedelta(minutes=31), by=by) == entry
        sessions.end_session(session_id=session.pk, now=NOON + timedelta(minutes=32), by=by)
        with pytest.raises(DomainError, match="ended"):
            sessions.beat(session_id=session.pk, now=NOON, by=by)
    assert (_entry(entry).held_by, _entry(entry).next_at) == ("", NOON + timedelta(minutes=32))


def test_a_second_session_ends_the_first(bob: User, agent: CallingAgent) -> None:
    first, second = _start(bob, agent), _start(bob, agent)
    assert (_fresh(first).state, _fresh(second).state) == ("ended", "waiting")


def test_anothers_session_is_not_found(bob: User, alice: User, agent: CallingAgent) -> None:
    session = _start(bob, agent)
    with acting(alice) as by, pytest.raises(NotFound):
        sessions.next_entry(session_id=session.pk, now=NOON, by=by)


def test_a_number_is_called_by_a_click(bob: User, alice: User, agent: CallingAgent) -> None:
    entry = make_entry(agent, phone=phone_with("human", result="completed"))
    with acting(bob) as by:
        call = calls.start_call(lead_id=None, phone=entry.phone, agent_id=agent.pk, now=NOON, by=by)
        assert (call.entry_id, call.provider_call_id) == (entry.pk, f"sim-{call.public_id}")
        with pytest.raises(MayNotCall):
            calls.start_call(lead_id=None, phone=entry.phone, now=NOON, by=by)
    now = _answered_at(NOON, entry)
    with acting(alice) as by, pytest.raises(DomainError):
        calls.record_outcome(call_id=call.pk, result=CallResult.COMPLETED, now=now, by=by)
    with acting(bob) as by:
        calls.hang_up(call_id=call.pk, now=now, by=by)
    pass_time(now, 3)
    assert calls_of(entry)[0].awaits_outcome
    with acting(bob) as by:
        calls.record_outcome(call_id=call.pk, result=CallResult.COMPLETED, now=now + timedelta(seconds=9), by=by)
    assert _entry(entry).disposition == "completed"


def test_nobody_calls_by_a_click_what_may_not_be_called(bob: User, tenant: Tenant) -> None:
    with acting(bob) as by:
        with pytest.raises(MayNotCall) as refused:
            calls.start_call(lead_id=None, phone="+12125550144", now=NOON + timedelta(hours=12), by=by)
        assert refused.value.details["reason"] == "outside_window"
