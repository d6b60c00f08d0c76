"""A call is over and its result stands: what becomes of its entry, what the lead's timeline shows, and who is told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.enums import ActivityStatus, ActivityType
from activities.services.logging import ActivityDraft, log_activity
from crm.actors import Actor
from crm.errors import NotFound
from crm.events import live
from crm.events.bus import publish
from crm.identity.models import User
from dialer.enums import AgentKind, CallResult, CallStatus, EntryStatus, SessionState, WaitReason
from dialer.events import CallEnded, EntriesFinished
from dialer.models import Call, CallingAgent, DialSession, DoNotCall, QueueEntry, RetryRule
from dialer.services.limits import Candidate, facts_for, hours_of
from dialer.services.retrying import Past, Retry, after
from dialer.services.session_state import set_state, tell
from dialer.services.waking import wake_agent
from dialer.services.zones import zone_for
from leads.selectors import lock_leads

# How long an entry stays with a call of which nobody has said what came of it.
UNSAID = timedelta(hours=24)


@dataclass(kw_only=True)
class Locked:
    """A call with what hangs on it, locked in the order in which everybody locks them: session, lead, entry, call."""

    call: Call
    entry: QueueEntry | None
    session: DialSession | None


def lock_call(call_id: int, *, with_lead: bool) -> Locked | None:
    """Lock a call for a change; `with_lead` where its timeline may be written to. None where it is gone."""
    links = Call.objects.filter(pk=call_id).values_list("session_id", "lead_id", "entry_id").first()
    if links is None:
        return None
    session_id, lead_id, entry_id = links
    session = DialSession.objects.select_for_update(of=("self",)).filter(pk=session_id).first() if session_id else None
    if lead_id and with_lead:
        lock_leads([lead_id])
    entry = QueueEntry.objects.select_for_update(of=("self",)).filter(pk=entry_id).first() if entry_id else None
    call = Call.objects.select_for_update(of=("self",)).filter(pk=call_id).first()
    return Locked(call=call, entry=entry, session=session) if call is not None else None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a person adds to a result."""

    callback_at: datetime | None = None
    for_anyone: bool = False


def settle_call(*, locked: Locked, result: CallResult, now: datetime, said: Said | None = None, by: Actor) -> None:
    """Let a result stand. The call is over (or ends hereby, where it was never placed); its rows were locked with their lead."""
    call, entry, said = locked.call, locked.entry, said or Said()
    call.result, call.outcome, call.awaits_outcome, call.held_until = result, result.outcome or "", False, None
    if call.ended_at is None:
        call.status, call.ended_at = CallStatus.FAILED, now
    if result == CallResult.NOT_PLACED:
        call.save()
        if entry is not None:
            _give_back(entry, now=now)
        _free_desk(locked, now=now)
        _free_line(call, now=now)
        return
    if result == CallResult.DO_NOT_CALL:
        never_again(call=call, now=now, by=by)
    _log(call, entry, by=by)
    call.save()
    if entry is not None:
        _go_on(call, entry, result, said, now=now, by=by)
    elif result == CallResult.CALLBACK and said.callback_at is not None:
        _plan_callback(call, said, by=by)
    publish(
        CallEnded(
            call_id=call.pk, lead_id=call.lead_id, user_id=call.user_id, agent_id=call.agent_id, result=str(result),
            disposition=str(entry.disposition) if entry is not None else "", seconds=call.duration_seconds,
        )
    )  # fmt: skip
    _free_desk(locked, now=now)
    _free_line(call, now=now)


def _give_back(entry: QueueEntry, *, now: datetime) -> None:
    """The call was never made: the entry stands where it stood, and is due again in a minute."""
    entry.held_by = ""
    if entry.status != EntryStatus.DONE:
        entry.status = EntryStatus.IN_PROGRESS if entry.attempts_count else EntryStatus.NEW
        step = after(
            result=CallResult.NOT_PLACED, past=Past(attempts=0, same_result=0), rule=None, max_attempts=1, delay_minutes=0, now=now
        )
        assert isinstance(step, Retry)
        entry.next_at = step.at
    entry.save(update_fields=["held_by", "status", "next_at", "updated_at"])


def _go_on(call: Call, entry: QueueEntry, result: CallResult, said: Said, *, now: datetime, by: Actor) -> None:
    agent = CallingAgent.objects.get(pk=entry.agent_id)
    zones = zone_for(entry)
    entry.attempts_count += 1
    hour = call.created_at.astimezone(zones[0]).hour
    entry.tried_hours = sorted({*entry.tried_hours, hour})
    entry.last_result, entry.last_called_at = result, call.created_at
    entry.held_by, entry.is_immediate = "", False
    # Who closed it meanwhile keeps the last word.
    if entry.status != EntryStatus.DONE:
        rule = RetryRule.objects.filter(agent_id=agent.pk, result=result).first()
        facts = facts_for([Candidate.of(entry)], now=now, agents=[agent])
        step = after(
            result=result,
            past=Past(
                attempts=entry.attempts_count,
                same_result=Call.objects.filter(entry_id=entry.pk, result=result).count(),
                tried_hours=entry.tried_hours,
                callback_at=said.callback_at,
            ),
            rule=rule,
            max_attempts=agent.max_attempts,
            delay_minutes=agent.retry_delay_minutes,
            now=now,
            times=(hours_of(agent), *facts.window(zones)),
            zone=zones[0],
        )
        entry.callback_for_id = None
        if isinstance(step, Retry):
            entry.status, entry.next_at, entry.schedule_at, entry.waits_for = EntryStatus.IN_PROGRESS, step.at, step.at, step.waits_for
            if step.waits_for == WaitReason.CALLBACK:
                entry.callback_for_id = None if said.for_anyone else call.user_id
                entry.callback_activity_id = _plan_callback(call, said, by=by)
        else:
            entry.status, entry.disposition, entry.waits_for = EntryStatus.DONE, step.disposition, ""
            publish(EntriesFinished(entry_ids=(entry.pk,), disposition=str(step.disposition)))
    entry.save()


def _log(call: Call, entry: QueueEntry | None, *, by: Actor) -> None:
    """One activity a call, on the timeline of whom the lead has become by now. A lead that was deleted has none."""
    if call.lead_id is None or call.activity_id is not None:
        return
    label = CallResult(call.result).label
    told = "\n".join(part for part in (call.summary, call.notes) if part)
    draft = ActivityDraft(
        activity_type=ActivityType.CALL,
        status=ActivityStatus.COMPLETED,
        description=told,
        outcome=str(label),
        user_id=_active(call.user_id),
        duration=-(-call.duration_seconds // 60) if call.duration_seconds else None,
        occurred_at=call.created_at,
        closes=entry.callback_activity_id if entry is not None else None,
    )
    if entry is not None:
        entry.callback_activity_id = None
    try:
        call.activity_id = log_activity(lead_id=call.lead_id, draft=draft, by=_machine(by)).pk
    except NotFound:
        call.activity_id = None


def _plan_callback(call: Call, said: Said, *, by: Actor) -> int | None:
    """A callback stands on its person's list like any other call to be made."""
    if call.lead_id is None or said.callback_at is None:
        return None
    draft = ActivityDraft(
        activity_type=ActivityType.CALL,
        description=call.notes or f"Callback agreed with {call.lead_name}",
        due_at=said.callback_at,
        user_id=None if said.for_anyone else _active(call.user_id),
        remind_before=5,
    )
    try:
        return log_activity(lead_id=call.lead_id, draft=draft, by=_machine(by)).pk
    except NotFound:
        return None


def never_again(*, call: Call, now: datetime, by: Actor) -> None:
    """Put the number on the tenant's do-not-call list, for good."""
    entry = DoNotCall(
        tenant_id=call.tenant_id, phone=call.phone, reason="Asked for in a call", created_by_id=call.user_id, created_via=str(by.door),
        created_at=now,
    )  # fmt: skip
    DoNotCall.objects.bulk_create([entry], ignore_conflicts=True)
    # One that ended some day does not end any more.
    DoNotCall.objects.filter(phone=call.phone, agent=None).exclude(until=None).update(until=None)


def _machine(by: Actor) -> Actor:
    """Calls are recorded whoever sees the lead: working a queue is enough to call who is in it."""
    return Actor.system(tenant_id=by.tenant_id, door=by.door, label="Dialer")


def _active(user_id: int | None) -> int | None:
    return user_id if user_id is not None and User.objects.filter(pk=user_id, is_active=True).exists() else None


def _free_desk(locked: Locked, *, now: datetime) -> None:
    """The person may have the next, unless another of their calls goes on."""
    session = locked.session
    if session is None or session.state == SessionState.ENDED:
        session = _desk_that_waits_for(locked.call)
    if session is None:
        return
    if session.state in (SessionState.WAITING, SessionState.PREVIEW):
        tell(session, locked.call)
        return
    others = Call.objects.filter(session_id=session.pk, ended_at=None).exclude(pk=locked.call.pk).exists()
    if others:
        tell(session, locked.call)
        return
    if session.state == SessionState.PAUSED:
        session.entry = None
        set_state(session, SessionState.PAUSED, now=now, pause_reason=session.pause_reason)
    elif not Call.objects.filter(user_id=session.user_id, awaits_outcome=True).exclude(pk=locked.call.pk).exists():
        session.entry = None
        set_state(session, SessionState.WAITING, now=now)


def _desk_that_waits_for(call: Call) -> DialSession | None:
    """A session of today that asks for the outcome of a call made elsewhere. One that somebody holds is left: its page asks again."""
    waiting = DialSession.objects.filter(user_id=call.user_id, ended_at=None, state=SessionState.WRAP_UP)
    return waiting.select_for_update(of=("self",), skip_locked=True).first() if call.user_id is not None else None


def _free_line(call: Call, *, now: datetime) -> None:
    if call.agent_id is None:
        return
    if call.session_id is None and CallingAgent.objects.filter(pk=call.agent_id, kind=AgentKind.AUTOMATED).exists():
        wake_agent(call.agent_id, now=now)
    else:
        live.announce("dialer.agent", data={"agent": ""})
