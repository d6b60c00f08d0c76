"""What is heard of a call moves it on, and only on: what is repeated, late or out of order is noted and changes nothing."""

from datetime import datetime, timedelta

from django.db import transaction

from crm.actors import Actor
from crm.events import nudge
from crm.tenancy.scope import tenant_scope
from dialer.enums import LIVE, AnsweredBy, CallEventKind, CallResult, CallStatus, DialMode, EntryStatus, SessionState
from dialer.models import Call, CallEvent, CallingAgent, DialSession
from dialer.services.session_state import set_state, tell
from dialer.services.settings import provider_of, settings_now
from dialer.services.settling import UNSAID, Locked, Said, lock_call, settle_call
from dialer.services.summaries import keep_transcript, result_of, transcript_of
from dialer.services.telephony.base import Progress

HANG_UP = "dialer.hang_up"
# Nobody says what they mean in less: who was answered by a machine's voice and is gone by then hung up.
SHORTEST_TALK = 8
_TALK_WATCH = timedelta(minutes=15)
_RANKS = {CallStatus.QUEUED: 0, CallStatus.RINGING: 1, CallStatus.IN_PROGRESS: 2}
_OVER = 3
_RESULTS = {
    CallStatus.NO_ANSWER: CallResult.NO_ANSWER,
    CallStatus.BUSY: CallResult.BUSY,
    CallStatus.FAILED: CallResult.FAILED,
    CallStatus.CANCELED: CallResult.NO_ANSWER,
}


def note_progress(*, call_id: int, progress: Progress, now: datetime, by: Actor) -> bool:
    """Take in a report on a call of the open tenant. Answers whether it changed anything."""
    ends = progress.status is not None and _rank(progress.status) == _OVER
    with transaction.atomic():
        locked = lock_call(call_id, with_lead=ends)
        if locked is None:
            return False
        call = locked.call
        if progress.provider_call_id and call.provider_call_id and progress.provider_call_id != call.provider_call_id:
            note_event(call, CallEventKind.TROUBLE, progress, text="A report of another call.")
            return False
        if not note_event(call, CallEventKind.STATUS, progress):
            return False
        if not call.is_live:
            _end_stray(call, progress)
            return False
        changed = _bind(call, progress)
        if progress.answered_by is not None and call.answered_by != progress.answered_by:
            call.answered_by, changed = progress.answered_by, True
        moved = progress.status is not None and _rank(progress.status) > _RANKS[CallStatus(call.status)]
        if progress.status is not None and moved:
            call.status = progress.status
        if not (moved or changed):
            return False
        if ends:
            _end(locked, progress, now=now, by=by)
        else:
            _move(locked, progress, now=now)
    return True


def note_event(call: Call, kind: CallEventKind, progress: Progress, *, text: str = "") -> bool:
    """Keep a report. Answers False for one that is kept already."""
    event = CallEvent(
        tenant_id=call.tenant_id, call_id=call.pk, kind=kind, status=str(progress.status or progress.answered_by or "")[:30],
        text=(text or progress.error)[:300], fingerprint=progress.fingerprint[:64], payload=progress.payload, at=progress.at,
    )  # fmt: skip
    known = CallEvent.objects.filter(call_id=call.pk, fingerprint=event.fingerprint).exists()
    if not known:
        # The call's lock keeps two from writing the same.
        event.save()
    return not known


def _rank(status: CallStatus) -> int:
    return _RANKS.get(status, _OVER)


def _bind(call: Call, progress: Progress) -> bool:
    call.provider_sequence = max(call.provider_sequence, progress.sequence)
    if progress.provider_call_id and not call.provider_call_id:
        call.provider_call_id = progress.provider_call_id
        return True
    return False


def _end_stray(call: Call, progress: Progress) -> None:
    """A call that we gave up as never placed is there after all: nobody may be called twice at once, so it is ended."""
    if call.result == CallResult.NOT_PLACED and progress.status in LIVE and progress.provider_call_id:
        transaction.on_commit(
            lambda: nudge.task(HANG_UP, tenant_id=call.tenant_id, call_id=call.pk, provider_call_id=progress.provider_call_id)
        )


def _move(locked: Locked, progress: Progress, *, now: datetime) -> None:
    call = locked.call
    if call.status == CallStatus.IN_PROGRESS:
        call.answered_at = call.answered_at or min(progress.at, now)
        call.held_until = now + _TALK_WATCH
    call.save()
    if call.status == CallStatus.IN_PROGRESS:
        _answered(locked, now=now)
    if locked.session is not None:
        tell(locked.session, call)


def _answered(locked: Locked, *, now: datetime) -> None:
    """Somebody, or something, took the call: the first person that is answered gets it, for the rest nobody is free."""
    call, session = locked.call, locked.session
    if is_for_nobody(call):
        end_call(call, now=now)
        return
    if session is None or (not call.answered_by and _is_being_told_apart(call)):
        return
    others = Call.objects.filter(session_id=session.pk, ended_at=None).exclude(pk=call.pk)
    busy = (
        others.filter(status=CallStatus.IN_PROGRESS).exclude(answered_by=AnsweredBy.MACHINE).exclude(result=CallResult.ABANDONED).exists()
    )
    if busy or session.state in (SessionState.WRAP_UP, SessionState.PAUSED, SessionState.ENDED):
        Call.objects.filter(pk=call.pk).update(result=CallResult.ABANDONED)
        end_call(call, now=now)
        return
    session.entry = locked.entry
    set_state(session, SessionState.ON_CALL, now=call.answered_at or now)
    for other in others:
        end_call_of(session, other.pk, now=now)


def is_for_nobody(call: Call) -> bool:
    """Whether a machine took a call that ends thereby. In preview its person hears the machine and decides."""
    return call.answered_by == AnsweredBy.MACHINE and (call.user_id is None or call.mode != DialMode.PREVIEW)


def _is_being_told_apart(call: Call) -> bool:
    """Whether the company has yet to say if a person or a machine took the call."""
    return CallingAgent.objects.filter(pk=call.agent_id, detect_machines=True).exists()


def end_call(call: Call, *, now: datetime) -> None:
    """Have the company end a call: within the transaction where its calls are our rows, else after it."""
    provider = provider_of(settings_now())
    if provider.joins_transaction:
        provider.hang_up(call.provider_call_id, call_id=call.pk, was_answered=call.status == CallStatus.IN_PROGRESS, now=now)
        transaction.on_commit(lambda: nudge.once("dialer.simulate"))
    elif call.provider_call_id:
        transaction.on_commit(
            lambda: nudge.task(HANG_UP, tenant_id=call.tenant_id, call_id=call.pk, provider_call_id=call.provider_call_id)
        )


def end_call_of(session: DialSession, call_id: int, *, now: datetime) -> None:
    """End a call of a locked session, placed or not."""
    locked = lock_call(call_id, with_lead=False)
    if locked is not None and locked.call.is_live:
        # The caller's own copy of the session is the one that is saved.
        locked.session = session
        end_or_give_up(locked, now=now)


def end_or_give_up(locked: Locked, *, now: datetime) -> None:
    """End a locked live call. One that the company has not been asked for, or has not named yet, is over at once: should it ring, it is ended."""
    call = locked.call
    waits = call.status == CallStatus.QUEUED and call.placed_at is None and not call.provider_call_id
    if not waits or provider_of(settings_now()).joins_transaction:
        end_call(call, now=now)
        return
    by = Actor.system(tenant_id=call.tenant_id, label="Dialer")
    settle_call(locked=locked, result=CallResult.NOT_PLACED, now=now, by=by)


def end_leg(session: DialSession) -> None:
    """Have the company hang up a person's own line, after the transaction."""
    leg = session.own_call_id
    transaction.on_commit(lambda: nudge.task(HANG_UP, tenant_id=session.tenant_id, call_id=0, provider_call_id=leg))


def end_at_company(*, tenant_id: int, call_id: int, provider_call_id: str, now: datetime) -> None:
    """Tell the company to end a call; what it reports of that ends ours. Outside any transaction."""
    with tenant_scope(tenant_id):
        provider = provider_of(settings_now())
        ringing = Call.objects.filter(pk=call_id, status__in=(CallStatus.QUEUED, CallStatus.RINGING)).exists()
    if not provider.joins_transaction:
        provider.hang_up(provider_call_id, call_id=call_id, was_answered=not ringing, now=now)


def _end(locked: Locked, progress: Progress, *, now: datetime, by: Actor) -> None:
    call = locked.call
    call.ended_at = max(min(progress.at, now), call.created_at)
    call.held_until = None
    call.error = progress.error[:300] or call.error
    if call.answered_at is not None:
        talked = int((call.ended_at - call.answered_at).total_seconds())
        call.duration_seconds = max(progress.seconds if progress.seconds is not None else talked, 0)
    elif call.status == CallStatus.COMPLETED:
        # That it was answered was never reported, or is still to come.
        call.duration_seconds = max(progress.seconds or 0, 0)
    transcript = str(progress.payload.get("transcript") or "")
    if transcript:
        keep_transcript(call=call, transcript=transcript)
    elif call.transcript:
        transcript = transcript_of(call)
    result = _result(call, transcript)
    if result is not None:
        said = _callback(result, now=now)
        settle_call(locked=locked, result=result, now=now, said=said, by=by)
        return
    call.awaits_outcome = True
    call.save()
    _wait_for_outcome(locked, now=now)


def _result(call: Call, transcript: str) -> CallResult | None:
    """What came of it; None where only the person who called can say."""
    if call.result == CallResult.ABANDONED:
        return CallResult.ABANDONED
    if call.status in _RESULTS:
        return _RESULTS[CallStatus(call.status)]
    if is_for_nobody(call):
        return CallResult.VOICEMAIL
    if call.user_id is not None:
        return None
    return result_of(transcript) or (CallResult.HUNG_UP if call.duration_seconds < SHORTEST_TALK else CallResult.COMPLETED)


def _callback(result: CallResult, *, now: datetime) -> Said | None:
    # A machine that is told "tomorrow" calls at the same time of the next day.
    return Said(callback_at=now + timedelta(days=1), for_anyone=True) if result == CallResult.CALLBACK else None


def _wait_for_outcome(locked: Locked, *, now: datetime) -> None:
    """The entry stays with its person until they have said what came of it."""
    if locked.entry is not None and locked.entry.status != EntryStatus.DONE:
        locked.entry.held_by, locked.entry.next_at = f"call:{locked.call.pk}", now + UNSAID * 2
        locked.entry.save(update_fields=["held_by", "next_at", "updated_at"])
    session = locked.session
    if session is not None and session.state in (SessionState.DIALING, SessionState.ON_CALL):
        session.entry = locked.entry
        set_state(session, SessionState.WRAP_UP, now=locked.call.ended_at or now)
    elif session is not None:
        tell(session, locked.call)
