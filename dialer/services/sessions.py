"""A person at work in the workspace: the next lead, the call, what came of it, the next; pauses in between.

Every service locks the session first, so that two tabs of one person come one after the other.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput, NotFound
from crm.normal import e164
from crm.tenancy.models import Tenant, current_tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from dialer.enums import LIVE, CallStatus, DialMode, PauseReason, ProviderName, SessionState
from dialer.models import Call, CallingAgent, DialSession, QueueEntry
from dialer.permissions import CALL
from dialer.selectors.queues import agents_worked_by
from dialer.services.calls import StillToSay, call_held, unsaid_calls
from dialer.services.claiming import IN_FRONT, claim_next, hold, holder_of, release
from dialer.services.limits import abandoned_share
from dialer.services.placing import CALLING, place_later
from dialer.services.progress import end_call_of, end_leg
from dialer.services.session_state import set_state
from dialer.services.settings import settings_now

log = structlog.get_logger(__name__)
# Unheard of for so long, a session is paused; for longer, it has ended.
SILENCE, LONG_SILENCE = timedelta(seconds=25), timedelta(hours=2)
MOST_LINES = 10
_BETWEEN = (SessionState.WAITING, SessionState.PREVIEW)


def start_session(
    *, agent_id: int, mode: str = "", batch_id: int | None = None, own_phone: str = "", now: datetime, by: Actor
) -> DialSession:
    """Begin to work in an agent's queue. A session the person has elsewhere ends: nobody works at two places. Raises InvalidInput."""
    by.require(CALL)
    if by.user_id is None:
        raise DomainError("Only people work at the desk.")
    agent = agents_worked_by(by).filter(pk=agent_id, deleted_at=None).first()
    problems: dict[str, list[str]] = {}
    if agent is None:
        problems["agent"] = ["You do not work in such a queue."]
    if mode and mode not in DialMode.values:
        problems["mode"] = [f"Must be one of {', '.join(DialMode.values)}."]
    phone = e164(own_phone, region=current_tenant().region) if own_phone.strip() else ""
    if phone is None:
        problems["own_phone"] = ["Invalid phone number format"]
    if problems or agent is None:
        raise InvalidInput(problems)
    with transaction.atomic():
        # Two beginnings at once come one after the other.
        for earlier in DialSession.objects.select_for_update(of=("self",)).filter(user_id=by.user_id, ended_at=None):
            _end(earlier, now=now)
        session = DialSession.objects.create(
            tenant_id=current_tenant_id(), user_id=by.user_id, agent=agent, batch_id=batch_id, mode=mode or agent.mode,
            own_phone=phone or "", state_since=now, heartbeat_at=now, started_at=now,
        )  # fmt: skip
        if unsaid_calls(by.user_id).exists():
            # What was left unsaid comes first.
            session.state = SessionState.WRAP_UP
        set_state(session, SessionState(session.state), now=now)
        if session.own_phone:
            place_later()
    return session


def next_entry(*, session_id: int, now: datetime, by: Actor) -> QueueEntry | None:
    """Have the next one: in preview laid in front of the person, otherwise called at once, in power mode several. None where none is due.

    Refuses while the outcome of the call before has not been said, and answers what is there while something is.
    """
    with transaction.atomic():
        session = _mine(session_id, by=by)
        _ready(session)
        if session.state == SessionState.PREVIEW and session.entry_id is not None:
            return session.entry
        most = _lines(session, now=now) if session.mode == DialMode.POWER else 1
        entries = claim_next(session=session, most=most, now=now, by=by)
        session.heartbeat_at = now
        if not entries:
            session.entry = None
            set_state(session, SessionState.WAITING, now=now)
            return None
        session.entry = entries[0]
        if session.mode == DialMode.PREVIEW:
            set_state(session, SessionState.PREVIEW, now=now)
            return entries[0]
        calls = _call(session, entries, now=now, by=by)
        return next((entry for entry in entries if calls and entry.pk == calls[0].entry_id), None)


def _call(session: DialSession, entries: Sequence[QueueEntry], *, now: datetime, by: Actor) -> list[Call]:
    set_state(session, SessionState.DIALING, now=now)
    calls = call_held(session=session, entries=entries, now=now, by=by)
    called = {call.entry_id for call in calls}
    for entry in entries:
        if entry.pk not in called:
            release(entry.pk, session=session, at=now + timedelta(minutes=5))
    if not calls:
        session.entry = None
        set_state(session, SessionState.WAITING, now=now)
    elif session.entry_id not in called:
        session.entry_id = calls[0].entry_id
        session.save(update_fields=["entry"])
    return calls


def _lines(session: DialSession, *, now: datetime) -> int:
    """On how many lines to call for one person: one where too many of those who answered found nobody."""
    agent = CallingAgent.objects.get(pk=session.agent_id)
    if agent.lines > 1 and abandoned_share(agent.pk, now=now) >= settings_now().most_abandoned:
        return 1
    return max(1, min(agent.lines, MOST_LINES))


def dial(*, session_id: int, now: datetime, by: Actor) -> Call:
    """Call the entry in front of the person. Raises MayNotCall where that is not allowed any more."""
    with transaction.atomic():
        session = _mine(session_id, by=by)
        _ready(session)
        entry = _in_front(session)
        # Whoever has it in front of them calls it, however long they looked.
        hold([entry], session=session, now=now)
        calls = _call(session, [entry], now=now, by=by)
        if not calls:
            raise DomainError("This number is in another call.")
        calls[0].refresh_from_db()
        return calls[0]


def skip_entry(*, session_id: int, minutes: int, now: datetime, by: Actor) -> DialSession:
    """Put off the entry in front of the person, uncalled."""
    if not 0 < minutes <= 365 * 1440:
        raise InvalidInput({"minutes": ["From a minute to a year."]})
    with transaction.atomic():
        session = _mine(session_id, by=by)
        entry = _in_front(session)
        at = now + timedelta(minutes=minutes)
        QueueEntry.objects.filter(pk=entry.pk).update(held_by="", next_at=at, schedule_at=at, waits_for="", is_immediate=False)
        session.entry = None
        set_state(session, SessionState.WAITING, now=now)
        return session


def pause(*, session_id: int, reason: PauseReason, now: datetime, by: Actor) -> DialSession:
    """Stop for a while. Between calls only; what lay in front of the person is for others."""
    if reason not in PauseReason.values:
        raise InvalidInput({"reason": ["Choose a reason."]})
    with transaction.atomic():
        session = _mine(session_id, by=by)
        if session.state in (SessionState.DIALING, SessionState.ON_CALL):
            raise DomainError("A call is under way.")
        _pause(session, PauseReason(reason), now=now)
        return session


def resume(*, session_id: int, now: datetime, by: Actor) -> DialSession:
    """Go on after a pause, where one stopped: at an outcome that was not said, or at the next."""
    with transaction.atomic():
        session = _mine(session_id, by=by)
        session.heartbeat_at = now
        if session.state == SessionState.PAUSED:
            set_state(session, _state_now(session), now=now)
        if session.own_phone and not session.own_call_id:
            place_later()
        return session


def end_session(*, session_id: int, now: datetime, by: Actor) -> DialSession:
    """Stop working. The outcome of the last call must have been said; calls that ring are ended."""
    with transaction.atomic():
        session = _mine(session_id, by=by)
        if unsaid_calls(session.user_id).filter(session_id=session.pk).exists():
            raise StillToSay("Say what came of the call before first.")
        if Call.objects.filter(session_id=session.pk, status=CallStatus.IN_PROGRESS).exists():
            raise DomainError("A call is under way.")
        _end(session, now=now)
        return session


def beat(*, session_id: int, now: datetime, by: Actor) -> DialSession:
    """The person's page is there. What lies in front of them stays theirs."""
    with transaction.atomic():
        session = _mine(session_id, by=by)
        session.heartbeat_at = max(now, session.heartbeat_at)
        session.save(update_fields=["heartbeat_at"])
        if session.state == SessionState.PREVIEW and session.entry_id is not None:
            QueueEntry.objects.filter(pk=session.entry_id, held_by=holder_of(session)).update(next_at=now + IN_FRONT)
        return session


def pause_silent(*, now: datetime) -> int:
    """Pause the sessions whose pages went silent, and end those that stayed so, in every tenant. Calls that go on are left to go on."""
    paused = 0
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        try:
            paused += pause_silent_of(tenant_id=tenant_id, now=now)
        except Exception:
            log.exception("silent_sessions_not_paused", tenant=tenant_id)
    return paused


def pause_silent_of(*, tenant_id: int, now: datetime) -> int:
    """The same for one tenant."""
    paused = 0
    with tenant_scope(tenant_id, by=Actor.system(tenant_id=tenant_id, label="Dialer")):
        silent = DialSession.objects.select_for_update(of=("self",), skip_locked=True).filter(ended_at=None, heartbeat_at__lt=now - SILENCE)
        for session in silent.order_by("pk"):
            if session.state in (SessionState.DIALING, SessionState.ON_CALL) and _has_live_call(session):
                continue
            if now - session.heartbeat_at > LONG_SILENCE:
                _end(session, now=now)
            elif session.state != SessionState.PAUSED:
                _pause(session, PauseReason.LOST_NETWORK, now=now)
                paused += 1
    return paused


def _mine(session_id: int, *, by: Actor) -> DialSession:
    session = DialSession.objects.select_for_update(of=("self",)).filter(pk=session_id, user_id=by.user_id).first()
    if session is None:
        raise NotFound("Session not found.")
    if session.ended_at is not None:
        raise DomainError("This session has ended.")
    return session


def _ready(session: DialSession) -> None:
    if session.state == SessionState.PAUSED:
        raise DomainError("Resume first.")
    if unsaid_calls(session.user_id).exists():
        raise StillToSay("Say what came of the call before first.")
    if _has_live_call(session):
        raise DomainError("A call is under way.")
    # Who answers a call that nobody decided on would hear silence. In preview the person sees to it themselves.
    if session.mode != DialMode.PREVIEW and session.own_phone and session.own_answered_at is None and not _calls_nobody():
        raise DomainError("Your own phone is not on the line yet.")


def _calls_nobody() -> bool:
    return settings_now().provider == ProviderName.SIMULATOR


def _in_front(session: DialSession) -> QueueEntry:
    entry = None
    if session.state == SessionState.PREVIEW and session.entry_id is not None:
        entry = QueueEntry.objects.select_for_update(of=("self",)).defer("search").filter(pk=session.entry_id).first()
    if entry is None or entry.deleted_at is not None or entry.held_by not in ("", holder_of(session)):
        raise DomainError("There is no lead in front of you.")
    return entry


def _state_now(session: DialSession) -> SessionState:
    if unsaid_calls(session.user_id).exists():
        return SessionState.WRAP_UP
    live = list(Call.objects.filter(session_id=session.pk, status__in=LIVE).values_list("status", flat=True))
    if live:
        return SessionState.ON_CALL if CallStatus.IN_PROGRESS in live else SessionState.DIALING
    return SessionState.WAITING


def _has_live_call(session: DialSession) -> bool:
    return Call.objects.filter(session_id=session.pk, status__in=LIVE).exists()


def _pause(session: DialSession, reason: PauseReason, *, now: datetime) -> None:
    if session.state in _BETWEEN and session.entry_id is not None:
        release(session.entry_id, session=session, at=now)
        session.entry = None
    set_state(session, SessionState.PAUSED, now=now, pause_reason=reason)


def _end(session: DialSession, *, now: datetime) -> None:
    for call_id in Call.objects.filter(session_id=session.pk, status__in=LIVE).order_by("pk").values_list("pk", flat=True):
        end_call_of(session, call_id, now=now)
    if session.entry_id is not None:
        release(session.entry_id, session=session, at=now)
        session.entry = None
    # One that is being called this moment is ended by who calls it.
    if session.own_call_id not in ("", CALLING):
        end_leg(session)
    session.ended_at = now
    set_state(session, SessionState.ENDED, now=now)
