"""Calls through a telephone company that speaks Twilio's protocol: good days, bad days, and reports that lie."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from crm.errors import InvalidInput
from crm.identity.models import User
from crm.sealed import seal
from crm.tenancy.models import Tenant
from dialer.enums import CallResult, CallStatus, PauseReason
from dialer.errors import NoSuchCall
from dialer.models import Call, CallEvent, CallingAgent, DialSession, DoNotCall, QueueEntry, RecordingJob, VoiceKey
from dialer.services import calls, placing, sessions
from dialer.services.placing import LEASE
from dialer.services.progress import end_at_company
from dialer.services.settings import save_settings, voice_key
from dialer.services.telephony import recordings, twilio
from dialer.services.telephony.recordings import open_recording
from dialer.services.telephony.twilio import signature_of
from tests.dialer.services.cast import calls_of, make_agent, make_entry, make_settings, run, working
from tests.dialer.services.voice_server import SID, TOKEN, Fault, VoiceServer, serving
from tests.factories import acting, inside

pytestmark = pytest.mark.django_db
PUBLIC = "https://crm.example.com"


@pytest.fixture
def voice(settings: Any) -> Iterator[VoiceServer]:
    with serving() as server:
        settings.TWILIO_API_URL, settings.VOICE_PUBLIC_URL, settings.TWILIO_TIMEOUT = server.url, PUBLIC, 3
        yield server
    twilio._quiet_until.clear()


@pytest.fixture
def agent(tenant: Tenant, voice: VoiceServer) -> CallingAgent:
    make_settings(
        tenant, provider="twilio", account_sid=SID, auth_token=seal(TOKEN), caller_id="+14155550100", record_calls=True,
        window_start="00:00", window_end="00:00",
    )  # fmt: skip
    return make_agent(tenant, script="Hello {first_name}!", most_calls=5)


def _entry(agent: CallingAgent, **fields: Any) -> QueueEntry:
    return make_entry(agent, next_at=timezone.now() - timedelta(minutes=1), **fields)


def _fresh(entry: QueueEntry) -> QueueEntry:
    with inside(entry.tenant_id):
        return QueueEntry.objects.get(pk=entry.pk)


def _placed(agent: CallingAgent, **fields: Any) -> tuple[QueueEntry, Call]:
    entry = _entry(agent, **fields)
    run(agent, timezone.now())
    return entry, calls_of(entry)[-1]


def _report(call: Call | DialSession, kind: str, *, token: str = TOKEN, key: str = "", **params: str) -> Any:
    if isinstance(call, Call):
        params = {"CallSid": call.provider_call_id, "AccountSid": SID, **params}
    with inside(call.tenant_id):
        path = f"/hooks/voice/{key or voice_key()}/{call.public_id}/{kind}"
    signature = signature_of(url=PUBLIC + path, params={name: [value] for name, value in params.items()}, token=token)
    return Client().post(path, params, headers={"X-Twilio-Signature": signature})


def test_the_signature_is_the_one_twilio_documents() -> None:
    params = {
        "CallSid": ["CA1234567890ABCDE"],
        "Caller": ["+14158675310"],
        "Digits": ["1234"],
        "From": ["+14158675310"],
        "To": ["+18005551212"],
    }
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert signature_of(url=url, params=params, token="12345") == "L/OH5YylLD5NRKLltdqwSvS0BnU="


def test_a_call_is_ordered_as_the_agent_says(agent: CallingAgent, voice: VoiceServer) -> None:
    entry, call = _placed(agent)
    ((method, path, form),) = voice.asked
    with inside(agent.tenant_id):
        address = f"{PUBLIC}/hooks/voice/{VoiceKey.objects.get(tenant_id=agent.tenant_id).key}/{call.public_id}"
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{SID}/Calls.json")
    assert form == {
        "To": [entry.phone], "From": ["+14155550100"], "Timeout": ["25"], "Url": [f"{address}/answer"], "StatusCallback": [f"{address}/status"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"], "MachineDetection": ["Enable"], "Record": ["true"],
        "RecordingStatusCallback": [f"{address}/recording"],
    }  # fmt: skip
    assert (call.status, call.provider_call_id) == (CallStatus.QUEUED, next(iter(voice.calls)))


def test_from_ringing_to_what_was_said(agent: CallingAgent) -> None:
    entry, call = _placed(agent)
    assert _report(call, "status", CallStatus="ringing", SequenceNumber="1").status_code == 200
    assert calls_of(entry)[0].status == CallStatus.RINGING
    answer = _report(call, "answer", CallStatus="in-progress", AnsweredBy="human")
    assert b"<Say>Hello Jane!</Say>" in answer.content
    assert b"/said" in answer.content
    _report(call, "said", SpeechResult="No thank you, we are not interested.")
    _report(call, "status", CallStatus="completed", CallDuration="31", SequenceNumber="3")
    (call,) = calls_of(entry)
    assert (call.status, call.result, call.duration_seconds) == ("completed", "not_interested", 31)
    assert call.summary == "No thank you, we are not interested."
    assert _fresh(entry).disposition == "not_interested"


def test_reports_that_come_twice_late_or_out_of_order_change_nothing(agent: CallingAgent) -> None:
    entry, call = _placed(agent)
    _report(call, "answer", CallStatus="in-progress", AnsweredBy="human")
    done = {"CallStatus": "completed", "CallDuration": "60", "SequenceNumber": "3"}
    _report(call, "status", **done)
    ended = calls_of(entry)[0]
    for params in (done, done, {"CallStatus": "ringing", "SequenceNumber": "1"}, {"CallStatus": "busy"}, {"CallStatus": "in-progress"}):
        assert _report(call, "status", **params).status_code == 200
    (after,) = calls_of(entry)
    for name in ("status", "result", "duration_seconds", "ended_at", "activity_id", "answered_at"):
        assert getattr(after, name) == getattr(ended, name)
    assert _fresh(entry).attempts_count == 1
    with inside(agent.tenant_id):
        assert CallEvent.objects.filter(call=after, status="completed").count() == 1


def test_forged_reports_and_those_of_other_tenants_change_nothing(agent: CallingAgent, next_door: Tenant) -> None:
    entry, call = _placed(agent)
    theirs = make_agent(next_door)
    with inside(next_door.pk):
        foreign_key = voice_key()
    assert _report(call, "status", token="guess", CallStatus="completed").status_code == 403
    assert _report(call, "status", key="unknown", CallStatus="completed").status_code == 404
    # A tenant whose calls are simulated has no secret that could sign.
    assert _report(call, "status", key=foreign_key, token="", CallStatus="completed").status_code == 403
    make_settings(next_door, provider="twilio", account_sid=SID, auth_token=seal("their-token"), caller_id="+14155550101")
    assert _report(call, "status", key=foreign_key, token="their-token", CallStatus="completed").status_code == 404
    assert _report(call, "nonsense", CallStatus="completed").status_code == 404
    assert _report(call, "status", CallSid="CA-of-another", CallStatus="completed").status_code == 200
    assert _report(call, "status", AccountSid="ACother", CallStatus="completed").status_code == 403
    assert _report(call, "status", CallStatus="unheard-of").status_code == 200
    assert Client().get(f"/hooks/voice/x/{call.public_id}/status").status_code == 405
    assert (calls_of(entry)[0].status, theirs.tenant_id) == (CallStatus.QUEUED, next_door.pk)


def test_an_answering_machine_is_hung_up_on(agent: CallingAgent) -> None:
    entry, call = _placed(agent)
    assert b"<Hangup/>" in _report(call, "answer", CallStatus="in-progress", AnsweredBy="machine_start").content
    _report(call, "status", CallStatus="completed", CallDuration="4")
    assert (calls_of(entry)[0].result, _fresh(entry).waits_for) == ("voicemail", "retry")


def test_a_number_the_company_refuses_counts_as_an_attempt(agent: CallingAgent, voice: VoiceServer) -> None:
    entry = _entry(agent)
    voice.refuse_numbers.add(entry.phone)
    assert run(agent, timezone.now()) == 0
    (call,) = calls_of(entry)
    assert (call.status, call.result, _fresh(entry).attempts_count) == ("failed", "failed", 1)
    assert "21211" in call.error


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_account_that_is_refused_costs_nobody_an_attempt(agent: CallingAgent, voice: VoiceServer, status: int) -> None:
    entry = _entry(agent)
    voice.faults.append(Fault(status=status, body=b'{"code": 20003, "message": "Authenticate secret-token"}'))
    now = timezone.now()
    assert run(agent, now) == 0
    (call,) = calls_of(entry)
    assert (call.result, call.outcome, _fresh(entry).attempts_count, _fresh(entry).status) == ("not_placed", "", 0, "new")
    assert TOKEN not in call.error
    assert run(agent, now + timedelta(minutes=2)) == 1


def test_too_many_requests_are_sent_again_and_errors_are_not(agent: CallingAgent, voice: VoiceServer) -> None:
    first = _entry(agent)
    voice.faults.extend([Fault(status=429), Fault(status=429)])
    assert run(agent, timezone.now()) == 1
    assert (len(voice.asked), len(voice.calls), len(calls_of(first))) == (3, 1, 1)
    second = _entry(agent)
    # Taken, and then the answer was lost: ordering it again would call twice.
    voice.faults.append(Fault(status=502, after=True))
    assert run(agent, timezone.now()) == 0
    assert len(voice.calls) == 2
    (call,) = calls_of(second)
    assert (call.status, call.provider_call_id) == (CallStatus.QUEUED, "")
    assert placing.return_leases(now=timezone.now() + LEASE + timedelta(seconds=1)) >= 1
    (call,) = calls_of(second)
    assert voice.calls[call.provider_call_id]["to"] == second.phone
    assert len(voice.calls) == 2


def test_silence_is_asked_about_afterwards(agent: CallingAgent, voice: VoiceServer) -> None:
    entry = _entry(agent)
    voice.faults.append(Fault(hang=9))
    now = timezone.now()
    assert run(agent, now) == 0
    assert calls_of(entry)[0].status == CallStatus.QUEUED
    # While it is silent nothing else is ordered, and what is not ordered is not lost.
    other = _entry(agent)
    assert run(agent, timezone.now()) == 0
    assert calls_of(other)[0].result == "not_placed"
    twilio._quiet_until.clear()
    later = now + LEASE + timedelta(seconds=1)
    assert placing.return_leases(now=later) == 1
    assert calls_of(entry)[0].result == "not_placed"
    assert run(agent, later + timedelta(minutes=2)) == 2


def test_an_unreachable_company_costs_nobody_an_attempt(agent: CallingAgent, settings: Any) -> None:
    settings.TWILIO_API_URL = "http://127.0.0.1:9"
    entry = _entry(agent)
    assert run(agent, timezone.now()) == 0
    assert (calls_of(entry)[0].result, _fresh(entry).status) == ("not_placed", "new")


def test_a_call_that_was_given_up_and_rings_after_all_is_ended(agent: CallingAgent, voice: VoiceServer) -> None:
    entry, call = _placed(agent)
    with inside(agent.tenant_id):
        Call.objects.filter(pk=call.pk).update(status="failed", result="not_placed", ended_at=timezone.now(), provider_call_id="")
    _report(call, "status", CallStatus="ringing")
    end_at_company(tenant_id=agent.tenant_id, call_id=call.pk, provider_call_id=call.provider_call_id, now=timezone.now())
    assert voice.calls[call.provider_call_id]["status"] == "completed"
    assert calls_of(entry)[0].result == "not_placed"


def test_lost_reports_are_asked_for(agent: CallingAgent, voice: VoiceServer) -> None:
    entry, call = _placed(agent)
    voice.calls[call.provider_call_id] |= {"status": "busy"}
    assert placing.return_leases(now=timezone.now() + timedelta(minutes=3)) == 1
    assert calls_of(entry)[0].result == "busy"


def test_hanging_up_ends_ringing_and_answered_calls(agent: CallingAgent, voice: VoiceServer) -> None:
    _, call = _placed(agent)
    voice.calls[call.provider_call_id]["status"] = "in-progress"
    end_at_company(tenant_id=agent.tenant_id, call_id=call.pk, provider_call_id=call.provider_call_id, now=timezone.now())
    assert [form["Status"] for method, _path, form in voice.asked if "Status" in form] == [["canceled"], ["completed"]]
    assert voice.calls[call.provider_call_id]["status"] == "completed"


def test_recordings_are_fetched_kept_and_forgotten(agent: CallingAgent, voice: VoiceServer, bob: User, mallory: User) -> None:
    entry, call = _placed(agent)
    _report(call, "recording", RecordingSid="RE1", RecordingStatus="completed", RecordingUrl="http://evil.invalid/x")
    _report(call, "recording", RecordingSid="RE1", RecordingStatus="completed", RecordingUrl="http://evil.invalid/x")
    _report(call, "recording", RecordingSid="../../etc", RecordingStatus="completed")
    assert RecordingJob.objects.get().recording_id == "RE1"
    voice.faults.append(Fault(status=404))
    now = timezone.now()
    assert recordings.fetch_due(now=now) == 0
    assert recordings.fetch_due(now=now + timedelta(minutes=10)) == 1
    assert voice.asked[-1][1].endswith("/Recordings/RE1.mp3")
    (call,) = calls_of(entry)
    assert call.recording.name.startswith(f"tenant-{agent.tenant_id}/calls/")
    with acting(bob) as by, open_recording(call=call, by=by) as file:
        assert file.read() == voice.sound
    with acting(mallory) as by, pytest.raises(NoSuchCall):
        open_recording(call=call, by=by)
    assert recordings.forget_old(now=now + timedelta(days=80)) == 0
    assert recordings.forget_old(now=now + timedelta(days=91)) == 1
    with acting(bob) as by, pytest.raises(NoSuchCall):
        open_recording(call=calls_of(entry)[0], by=by)


def test_a_recording_that_never_comes_is_given_up(agent: CallingAgent, voice: VoiceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio, "MOST_SOUND", 100)
    _, call = _placed(agent)
    _report(call, "recording", RecordingSid="RE2", RecordingStatus="completed")
    now = timezone.now()
    for _ in range(recordings.MOST_ATTEMPTS):
        now += timedelta(days=1)
        assert recordings.fetch_due(now=now) == 0
    assert not RecordingJob.objects.exists()
    with inside(agent.tenant_id):
        assert "too large" in CallEvent.objects.get(call=call, kind="trouble").text


def test_words_read_afterwards_still_keep_a_number_from_being_called(agent: CallingAgent) -> None:
    entry, call = _placed(agent)
    _report(call, "answer", CallStatus="in-progress", AnsweredBy="human")
    _report(call, "status", CallStatus="completed", CallDuration="20")
    _report(call, "transcription", TranscriptionStatus="completed", TranscriptionText="Do not call me again!")
    with inside(agent.tenant_id):
        assert DoNotCall.objects.get().phone == entry.phone


def test_a_persons_own_phone_is_called_and_joined(tenant: Tenant, agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    people = make_agent(tenant, kind="human", mode="progressive")
    entry = _entry(people)
    now: datetime = timezone.now()
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, own_phone="+12125550111", now=now, by=by)
    placing.place_waiting(now=now)
    with inside(tenant.pk):
        session.refresh_from_db()
    assert voice.calls[session.own_call_id]["to"] == "+12125550111"
    line = f"{session.public_id}</Conference>".encode()
    assert line in _report(session, "leg", CallSid=session.own_call_id).content
    with acting(bob) as by:
        sessions.next_entry(session_id=session.pk, now=now, by=by)
    assert placing.place_waiting(now=now) == 1
    call = calls_of(entry)[0]
    answer = _report(call, "answer", CallStatus="in-progress", AnsweredBy="human")
    assert line in answer.content
    _report(call, "status", CallStatus="completed", CallDuration="20")
    with acting(bob) as by:
        calls.record_outcome(call_id=call.pk, result=CallResult.COMPLETED, now=timezone.now(), by=by)
    _report(session, "leg-status", CallSid=session.own_call_id, CallStatus="completed")
    with inside(tenant.pk):
        session.refresh_from_db()
    assert (session.state, session.pause_reason, session.own_call_id) == ("paused", PauseReason.LOST_NETWORK, "")


def test_a_persons_call_that_waited_too_long_is_not_made(agent: CallingAgent, voice: VoiceServer, bob: User) -> None:
    with acting(bob) as by:
        call = calls.start_call(lead_id=None, phone="+12125550112", now=timezone.now(), by=by)
    assert placing.place_waiting(now=timezone.now() + timedelta(minutes=5)) == 0
    with inside(agent.tenant_id):
        call.refresh_from_db()
    assert (call.result, voice.calls) == ("not_placed", {})


def test_settings_are_checked_and_the_token_is_sealed(admin: User, bob: User) -> None:
    with acting(admin) as by:
        with pytest.raises(InvalidInput) as refused:
            save_settings(values={"provider": "twilio", "account_sid": "x"}, by=by)
        assert set(refused.value.problems) >= {"account_sid", "auth_token", "caller_id"}
        kept = save_settings(values={"provider": "twilio", "account_sid": SID, "auth_token": TOKEN, "caller_id": "+14155550100"}, by=by)
        assert TOKEN not in kept.auth_token
    with working(Tenant.objects.get(pk=admin.tenant_id)):
        assert VoiceKey.objects.filter(tenant_id=admin.tenant_id).exists()


def test_a_phone_that_cannot_be_called_pauses_its_session_and_is_tried_again(
    tenant: Tenant, agent: CallingAgent, voice: VoiceServer, bob: User
) -> None:
    people = make_agent(tenant, kind="human")
    now = timezone.now()
    with acting(bob) as by:
        session = sessions.start_session(agent_id=people.pk, own_phone="+12125550111", now=now, by=by)
    voice.faults.append(Fault(status=500))
    placing.place_waiting(now=now)
    with inside(tenant.pk):
        session.refresh_from_db()
    assert (session.state, session.own_call_id) == ("paused", "")
    placing.place_waiting(now=now)
    assert voice.calls == {}
    with acting(bob) as by:
        sessions.resume(session_id=session.pk, now=now, by=by)
    placing.place_waiting(now=now)
    assert len(voice.calls) == 1
