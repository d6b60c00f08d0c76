"""Leases of calls that an outside company places: slow workers, orders that are not wanted any more, and whose call an order became."""

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.utils import timezone

from crm.errors import DomainError, InvalidInput
from crm.identity.models import User
from crm.tenancy.models import Tenant
from dialer.enums import AgentKind, CallStatus, SessionState
from dialer.models import Call, CallingAgent, DialSession, QueueEntry
from dialer.services import calls, placing, scheduling, sessions
from dialer.services.claiming import claim_due, holder_of
from dialer.services.placing import LEASE, place_calls, return_leases_of
from dialer.services.settings import save_settings
from dialer.services.telephony import twilio
from tests.dialer.services.cast import calls_of, make_agent, make_entry, make_settings, pass_time, phone_with, run, working
from tests.dialer.services.test_twilio import _entry, _fresh, _placed, _report, agent, voice
from tests.dialer.services.voice_server import Fault, VoiceServer
from tests.factories import acting, inside

__all__ = ["agent", "voice"]
pytestmark = pytest.mark.django_db


def _claimed(agent: CallingAgent, now: Any) -> list[Call]:
    with working(agent.tenant) as by:
        return claim_due(agent_id=agent.pk, most=20, worker="w", now=now, by=by).calls


def test_a_slow_worker_orders_nothing_that_was_given_up_meanwhile(agent: CallingAgent, voice: VoiceServer) -> None:
    entry = _entry(agent)
    now = timezone.now()
    claimed = _claimed(agent, now)
    return_leases_of(tenant_id=agent.tenant_id, now=now + LEASE)
    assert calls_of(entry)[0].result == "not_placed"
    with working(agent.tenant) as by:
        assert place_calls(tenant_id=agent.tenant_id, calls=claimed, now=now, by=by) == 0
    assert voice.calls == {}
    assert run(agent, now + timedelta(minutes=3)) == 1
    assert len(voice.calls) == 1


def test_a_worker_whose_lease_another_took_over_leaves_the_order(agent: CallingAgent, voice: VoiceServer) -> None:
    entry = _entry(agent)
    now = timezone.now()
    claimed = _claimed(agent, now)
    voice.faults.append(Fault(status=400))
    # Asked for, and not found out: the call stays, in the hands of who asked.
    return_leases_of(tenant_id=agent.tenant_id, now=now + LEASE)
    with working(agent.tenant) as by:
        assert place_calls(tenant_id=agent.tenant_id, calls=claimed, now=now, by=by) == 0
    assert (calls_of(entry)[0].status, voice.calls) == (CallStatus.QUEUED, {})


def test_the_clock_is_read_before_each_order(agent: CallingAgent, voice: VoiceServer) -> None:
    first, second, third = _entry(agent), _entry(agent), _entry(agent)
    now = timezone.now()
    claimed = _claimed(agent, now)
    # Twenty seconds an order: what would be ordered late in the lease is left, and is due again soon.
    clock = lambda: now + timedelta(seconds=20) * sum(method == "POST" for method, _path, _form in voice.asked)  # noqa: E731
    with working(agent.tenant) as by:
        assert place_calls(tenant_id=agent.tenant_id, calls=claimed, now=now, clock=clock, by=by) == 2
    made = [calls_of(entry)[0] for entry in (first, second, third)]
    assert sorted(call.result for call in made) == ["", "", "not_placed"]
    assert all(call.held_until is not None and call.held_until > now + LEASE for call in made if not call.result)


def test_a_run_that_takes_long_counts_its_leases_from_each_look(agent: CallingAgent, voice: VoiceServer) -> None:
    entry = _entry(agent)
    began = timezone.now() - timedelta(minutes=5)
    voice.faults.append(Fault(status=502))
    scheduling.run_agent(tenant_id=agent.tenant_id, agent_id=agent.pk, now=began, clock=timezone.now)
    held_until = calls_of(entry)[0].held_until
    assert held_until is not None
    assert held_until > timezone.now() + LEASE / 2


def test_an_order_that_was_never_given_takes_no_earlier_call_for_its_own(agent: CallingAgent, voice: VoiceServer) -> None:
    entry, call = _placed(agent)
    _report(call, "status", CallStatus="busy", SequenceNumber="2")
    with inside(agent.tenant_id):
        QueueEntry.objects.filter(pk=entry.pk).update(next_at=timezone.now() - timedelta(seconds=1))
    now = timezone.now()
    assert len(_claimed(agent, now)) == 1
    # Calls of others from the same account: from another number, and long after.
    known = voice.calls[call.provider_call_id]
    voice.calls["CAfrom"] = known | {"sid": "CAfrom", "from": "+14155550199"}
    voice.calls["CAlate"] = known | {"sid": "CAlate", "date_created": format_datetime(now + timedelta(minutes=20))}
    return_leases_of(tenant_id=agent.tenant_id, now=now + LEASE)
    assert [(made.result, made.provider_call_id) for made in calls_of(entry)] == [("busy", call.provider_call_id), ("not_placed", "")]


def test_one_call_that_cannot_be_resolved_does_not_stop_the_rest(
    agent: CallingAgent, voice: VoiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = _entry(agent), _entry(agent)
    now = timezone.now()
    _claimed(agent, now)
    search = twilio.Twilio._search

    def breaks(self: twilio.Twilio, order: Any, taken: Any) -> Any:
        if order.phone == bad.phone:
            raise ValueError("unheard of")
        return search(self, order, taken)

    monkeypatch.setattr(twilio.Twilio, "_search", breaks)
    assert return_leases_of(tenant_id=agent.tenant_id, now=now + LEASE) == 2
    assert (calls_of(bad)[0].status, calls_of(good)[0].result) == (CallStatus.QUEUED, "not_placed")


def _at_the_desk(agent: CallingAgent, user: User, **fields: Any) -> tuple[DialSession, list[QueueEntry]]:
    people = make_agent(agent.tenant, kind=AgentKind.HUMAN, **fields)
    entries = [_entry(people) for _ in range(people.lines if people.mode == "power" else 1)]
    with acting(user) as by:
        session = sessions.start_session(agent_id=people.pk, now=timezone.now(), by=by)
        sessions.next_entry(session_id=session.pk, now=timezone.now(), by=by)
    return session, entries


def _session(session: DialSession) -> DialSession:
    with inside(session.tenant_id):
        return DialSession.objects.get(pk=session.pk)


def test_hanging_up_before_the_order_is_given_ends_the_call_at_once(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    session, (entry,) = _at_the_desk(agent, bob, mode="progressive")
    with acting(bob) as by:
        calls.hang_up(call_id=calls_of(entry)[0].pk, now=timezone.now(), by=by)
    assert (calls_of(entry)[0].result, _session(session).state) == ("not_placed", SessionState.WAITING)
    assert placing.place_waiting(now=timezone.now()) == 0
    assert (voice.calls, _fresh(entry).held_by, _fresh(entry).attempts_count) == ({}, "", 0)


def test_ending_the_session_ends_what_was_not_ordered_yet(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    session, entries = _at_the_desk(agent, bob, mode="power", lines=3)
    with acting(bob) as by:
        sessions.end_session(session_id=session.pk, now=timezone.now(), by=by)
    assert [calls_of(entry)[0].result for entry in entries] == ["not_placed"] * 3
    assert placing.place_waiting(now=timezone.now()) == 0
    assert (voice.calls, _session(session).state) == ({}, SessionState.ENDED)


def test_lines_that_were_not_ordered_are_given_up_when_somebody_answers(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    session, entries = _at_the_desk(agent, bob, mode="power", lines=3)
    answered = calls_of(entries[0])[0]
    answered.provider_call_id = "CAanswered"
    _report(answered, "answer", CallStatus="in-progress", AnsweredBy="human")
    assert [calls_of(entry)[0].result for entry in entries] == ["", "not_placed", "not_placed"]
    assert (_session(session).state, _session(session).entry_id) == (SessionState.ON_CALL, entries[0].pk)


def test_an_order_that_is_noted_after_its_call_was_given_up_is_ended(
    agent: CallingAgent, voice: VoiceServer, bob: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    _, (entry,) = _at_the_desk(agent, bob, mode="progressive")
    ended: list[str] = []
    monkeypatch.setattr(placing.nudge, "task", lambda _name, **given: ended.append(given["provider_call_id"]))
    place = twilio.Twilio.place

    def meanwhile(self: twilio.Twilio, orders: Any, *, now: Any) -> Any:
        with acting(bob) as by:
            calls.hang_up(call_id=orders[0].call_id, now=now, by=by)
        return place(self, orders, now=now)

    monkeypatch.setattr(twilio.Twilio, "place", meanwhile)
    with django_capture_on_commit_callbacks(execute=True):
        placing.place_waiting(now=timezone.now())
    (call,) = calls_of(entry)
    assert (call.result, call.placed_at, ended) == ("not_placed", None, list(voice.calls))


def test_who_places_calls_is_not_changed_under_live_calls(agent: CallingAgent, admin: User) -> None:
    _, call = _placed(agent)
    with acting(admin) as by:
        with pytest.raises(InvalidInput) as refused:
            save_settings(values={"provider": "simulator"}, by=by)
        assert set(refused.value.problems) == {"provider"}
        save_settings(values={"record_calls": False}, by=by)
    _report(call, "status", CallStatus="busy")
    with acting(admin) as by:
        assert save_settings(values={"provider": "simulator"}, by=by).provider == "simulator"


def test_in_preview_a_machines_pick_up_is_left_to_the_person(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    session, (entry,) = _at_the_desk(agent, bob, mode="preview")
    with inside(agent.tenant_id):
        User.objects.filter(pk=bob.pk).update(phone="+12125550113")
    with acting(bob) as by:
        sessions.dial(session_id=session.pk, now=timezone.now(), by=by)
    placing.place_waiting(now=timezone.now())
    (call,) = calls_of(entry)
    answer = _report(call, "answer", CallStatus="in-progress", AnsweredBy="machine_start").content
    assert b"<Dial" in answer
    assert b"<Hangup/>" not in answer
    assert _session(session).state == SessionState.ON_CALL
    _report(call, "status", CallStatus="completed", CallDuration="9")
    assert (_session(session).state, calls_of(entry)[0].awaits_outcome) == (SessionState.WRAP_UP, True)


def test_the_simulators_machine_is_left_to_the_person_too(tenant: Tenant, bob: User) -> None:
    make_settings(tenant, window_start="00:00", window_end="00:00")
    people, now = make_agent(tenant, kind=AgentKind.HUMAN, mode="preview"), timezone.now()
    make_entry(people, phone=phone_with("machine"), next_at=now - timedelta(minutes=1))
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, now=now, by=by)
        sessions.next_entry(session_id=session.pk, now=now, by=by)
        sessions.dial(session_id=session.pk, now=now, by=by)
    seen = set()
    for _ in range(60):
        now = pass_time(now, 1)
        seen.add(_session(session).state)
    assert seen == {SessionState.DIALING, SessionState.ON_CALL, SessionState.WRAP_UP}


def test_a_click_takes_no_entry_out_of_another_persons_hands(agent: CallingAgent, bob: User, alice: User) -> None:
    session, (entry,) = _at_the_desk(agent, bob, mode="preview")
    assert _fresh(entry).held_by == holder_of(session)
    with acting(alice) as by:
        call = calls.start_call(lead_id=None, phone=entry.phone, agent_id=entry.agent_id, now=timezone.now(), by=by)
        assert (call.entry_id, _fresh(entry).held_by) == (None, holder_of(session))
        calls.hang_up(call_id=call.pk, now=timezone.now(), by=by)
    with acting(bob) as by:
        call = calls.start_call(lead_id=None, phone=entry.phone, agent_id=entry.agent_id, now=timezone.now(), by=by)
    assert call.entry_id == entry.pk


def test_nobody_is_called_before_the_persons_own_phone_is_on_the_line(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    people = make_agent(agent.tenant, kind=AgentKind.HUMAN, mode="progressive")
    entry, now = _entry(people), timezone.now()
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, own_phone="+12125550114", now=now, by=by)
    placing.place_waiting(now=now)
    with acting(bob) as by, pytest.raises(DomainError, match="not on the line"):
        sessions.next_entry(session_id=session.pk, now=now, by=by)
    leg = _session(session).own_call_id
    assert b"<Conference" in _report(session, "leg", CallSid=leg).content
    # Another phone does not come in between.
    assert b"<Hangup/>" in _report(session, "leg", CallSid="CAother").content
    with acting(bob) as by:
        assert sessions.next_entry(session_id=session.pk, now=now, by=by) == entry
        calls.hang_up(call_id=calls_of(entry)[0].pk, now=now, by=by)
    _report(session, "leg-status", CallSid=leg, CallStatus="completed")
    assert (_session(session).state, _session(session).own_answered_at) == (SessionState.PAUSED, None)


def test_a_line_that_a_dead_worker_was_calling_is_called_again(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    people = make_agent(agent.tenant, kind=AgentKind.HUMAN)
    now = timezone.now()
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, own_phone="+12125550114", now=now, by=by)
    with working(agent.tenant):
        assert placing._claim_leg(now=now) is not None
    placing.place_waiting(now=now + LEASE / 2)
    assert voice.calls == {}
    placing.place_waiting(now=now + LEASE)
    assert [_session(session).own_call_id] == list(voice.calls)


def test_a_line_that_fails_before_its_order_is_noted_pauses_the_session(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    people = make_agent(agent.tenant, kind=AgentKind.HUMAN)
    now = timezone.now()
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, own_phone="+12125550114", now=now, by=by)
    with working(agent.tenant):
        placing._claim_leg(now=now)
    _report(session, "leg-status", CallSid="CAleg", CallStatus="no-answer")
    with working(agent.tenant):
        placing._note_leg(session.pk, "CAleg", now=now)
    assert (_session(session).state, _session(session).own_call_id) == (SessionState.PAUSED, "")
