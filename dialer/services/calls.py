"""Calls in the hands of people: start one by a click, end it, say what came of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from activities.models import Activity
from activities.services.logging import LONGEST, clean_words
from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.normal import e164
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_tenant_id
from dialer.enums import BY_PERSON, LIVE, CallEventKind, CallResult, CallStatus, EntryStatus, SessionState
from dialer.errors import InvalidPhone, MayNotCall, NoSuchCall
from dialer.models import Call, CallEvent, CallingAgent, DialSession, QueueEntry
from dialer.permissions import CALL, COACH
from dialer.selectors.queues import agents_worked_by, calls_visible_to
from dialer.services.claiming import call_entries, holder_of
from dialer.services.limits import Candidate, Verdict, facts_for, may_call_number, verdict
from dialer.services.placing import place_soon
from dialer.services.progress import end_call, end_or_give_up
from dialer.services.session_state import set_state
from dialer.services.settings import settings_now
from dialer.services.settling import Said, lock_call, settle_call
from leads.services.editing import find_lead

FARTHEST_CALLBACK = timedelta(days=365)


class StillToSay(DomainError):
    """The outcome of the call before has not been said."""

    code = "OUTCOME_REQUIRED"


def start_call(
    *, lead_id: int | None, phone: str, agent_id: int | None = None, session_id: int | None = None, now: datetime, by: Actor
) -> Call:
    """Call a number by hand, now. Where the agent has it in its queue, the call counts as that entry's.

    Do-not-call, the number's lawful hours and the day's limit hold for people too. Raises InvalidPhone, MayNotCall, NotFound.
    """
    by.require(CALL)
    number = e164(phone, region=current_tenant().region)
    if number is None:
        raise InvalidPhone
    lead = find_lead(lead_id=lead_id, by=by) if lead_id is not None else None
    agent = _agent(agent_id, by=by)
    session = _session(session_id, by=by) if session_id is not None else None
    entry = _entry_of(agent, number, now=now, by=by)
    found = may_call_number(
        phone=number, agent=agent, zone=entry.zone if entry else "", lead_id=lead.pk if lead else None, now=now, at_once=True
    )
    refuse_unless(found)
    settings = settings_now()
    call = Call(
        tenant_id=current_tenant_id(),
        entry=entry,
        lead_id=lead.pk if lead else entry.lead_id if entry else None,
        agent=agent,
        user_id=by.user_id,
        session=session,
        lead_name=(entry.first_name if entry else lead.display_name if lead else number)[:250],
        phone=number,
        agent_name=agent.name if agent else "",
        caller_id=(agent.caller_id if agent else "") or settings.caller_id,
        mode=session.mode if session else "preview",
        attempt=entry.attempts_count + 1 if entry else 1,
        previous_at=entry.last_called_at if entry else None,
        provider=settings.provider,
        created_at=now,
    )
    try:
        with transaction.atomic():
            call.save()
    except IntegrityError:
        raise MayNotCall("This number is in another call.", details={"reason": "number_busy"}) from None
    if entry is not None:
        QueueEntry.objects.filter(pk=entry.pk).update(
            held_by=f"call:{call.pk}", next_at=now + timedelta(days=1), status=EntryStatus.IN_PROGRESS, waits_for="", updated_at=now
        )
    if session is not None:
        session.entry = entry
        set_state(session, SessionState.DIALING, now=now)
    place_soon(call=call, now=now, by=by)
    call.refresh_from_db()
    return call


def call_held(*, session: DialSession, entries: Sequence[QueueEntry], now: datetime, by: Actor) -> list[Call]:
    """Call the entries that lie in front of a locked session's person. What may not be called any more is left out."""
    cases = [replace(Candidate.of(entry), next_at=None, held_by="") for entry in entries]
    facts = facts_for(cases, now=now, user_id=session.user_id)
    verdicts = [verdict(case, facts) for case in cases]
    if len(entries) == 1:
        refuse_unless(verdicts[0])
    calls = call_entries([entry for entry, found in zip(entries, verdicts, strict=True) if found.may_call], session=session, now=now)
    for call in calls:
        call.refresh_from_db()
        place_soon(call=call, now=now, by=by)
    return calls


def refuse_unless(found: Verdict) -> None:
    if not found.may_call:
        details = {"reason": str(found.reason), "at": found.at.isoformat() if found.at else None}
        raise MayNotCall(found.text, details=details)


def hang_up(*, call_id: int, now: datetime, by: Actor) -> None:
    """End a call of one's own, or as a coach anybody's. One that is over is left."""
    call = _find(call_id, by=by)
    if call.user_id != by.user_id:
        by.require(COACH)
    with transaction.atomic():
        locked = lock_call(call.pk, with_lead=False)
        if locked is not None and locked.call.is_live:
            end_or_give_up(locked, now=now)


def record_outcome(
    *,
    call_id: int,
    result: CallResult,
    notes: str = "",
    callback_at: datetime | None = None,
    for_anyone: bool = False,
    now: datetime,
    by: Actor,
) -> Call:
    """Say what came of one's own call, once. A call that still goes on is ended with it. Raises InvalidInput by field."""
    call = _find(call_id, by=by)
    _own(call, by=by)
    problems: dict[str, list[str]] = {}
    if result not in BY_PERSON:
        problems["result"] = ["Choose what came of the call."]
    if result == CallResult.CALLBACK and (callback_at is None or not now < callback_at <= now + FARTHEST_CALLBACK):
        problems["callback_at"] = ["Choose a time ahead, within a year."]
    if len(notes) > LONGEST:
        problems["notes"] = [f"At most {LONGEST:,} characters."]
    if problems:
        raise InvalidInput(problems)
    with transaction.atomic():
        locked = lock_call(call.pk, with_lead=True)
        if locked is None:
            raise NoSuchCall
        call = locked.call
        if not (call.awaits_outcome or call.is_live):
            raise DomainError("What came of this call has been said.")
        if call.is_live:
            if call.status != CallStatus.IN_PROGRESS:
                raise DomainError("The call has not been answered yet: hang up first.")
            end_call(call, now=now)
            call.status, call.ended_at, call.held_until = CallStatus.COMPLETED, max(now, call.answered_at or call.created_at), None
            call.duration_seconds = int((call.ended_at - (call.answered_at or call.ended_at)).total_seconds())
        if notes.strip():
            call.notes = clean_words(notes)
        CallEvent.objects.create(
            tenant_id=call.tenant_id, call_id=call.pk, kind=CallEventKind.OUTCOME, status=str(result), fingerprint="outcome", user_id=by.user_id, at=now
        )  # fmt: skip
        said = Said(callback_at=callback_at, for_anyone=for_anyone)
        settle_call(locked=locked, result=result, now=now, said=said, by=by)
    return call


def note_call(*, call_id: int, notes: str, by: Actor) -> None:
    """Write one's notes on a call; they show on the lead's timeline too."""
    call = _find(call_id, by=by)
    _own(call, by=by)
    if len(notes) > LONGEST:
        raise InvalidInput({"notes": [f"At most {LONGEST:,} characters."]})
    words = clean_words(notes)
    with transaction.atomic():
        Call.objects.filter(pk=call.pk).update(notes=words)
        if call.activity_id is not None:
            told = "\n".join(part for part in (call.summary, words) if part)
            if told:
                Activity.objects.filter(pk=call.activity_id).update(description=told)


def unsaid_calls(user_id: int | None) -> QuerySet[Call]:
    """The calls of which a person still has to say what came."""
    return Call.objects.filter(user_id=user_id, awaits_outcome=True).order_by("pk")


def _find(call_id: int, *, by: Actor) -> Call:
    call = calls_visible_to(by).filter(pk=call_id).first()
    if call is None:
        raise NoSuchCall
    return call


def _own(call: Call, *, by: Actor) -> None:
    if call.user_id != by.user_id:
        raise Forbidden("Only who made the call can say this.")


def _agent(agent_id: int | None, *, by: Actor) -> CallingAgent | None:
    if agent_id is None:
        return None
    agent = agents_worked_by(by).filter(pk=agent_id).first()
    if agent is None:
        raise Forbidden("You do not work in this agent's queue.")
    return agent


def _session(session_id: int, *, by: Actor) -> DialSession:
    session = DialSession.objects.select_for_update(of=("self",)).filter(pk=session_id, user_id=by.user_id, ended_at=None).first()
    if session is None:
        raise DomainError("This session has ended.")
    if unsaid_calls(by.user_id).exists():
        raise StillToSay("Say what came of the call before first.")
    if Call.objects.filter(session_id=session.pk, status__in=LIVE).exists():
        raise DomainError("A call is under way.")
    return session


def _entry_of(agent: CallingAgent | None, phone: str, *, now: datetime, by: Actor) -> QueueEntry | None:
    """The agent's open entry for a number, unless it is in somebody else's hands."""
    if agent is None:
        return None
    rows = QueueEntry.objects.filter(agent_id=agent.pk, phone=phone, deleted_at=None).exclude(status=EntryStatus.DONE)
    entry = rows.select_for_update(of=("self",), skip_locked=True).defer("search").first()
    if entry is None or not entry.held_by or entry.next_at <= now:
        return entry
    own = DialSession.objects.filter(user_id=by.user_id, ended_at=None)
    return entry if entry.held_by in {holder_of(session) for session in own} else None
