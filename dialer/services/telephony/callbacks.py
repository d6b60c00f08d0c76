"""What Twilio sends to our addresses: how a call goes on, what was said, where a recording is; and what it is told to do.

The address finds the tenant, the signature proves the sender, the call's own id names the call. Only then is anything read.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from uuid import UUID
from xml.sax.saxutils import escape, quoteattr

import structlog
from django.conf import settings

from crm.actors import Actor, Door
from crm.normal import clean_text
from crm.sealed import Unreadable, unseal
from crm.tenancy.scope import tenant_scope
from dialer.enums import AnsweredBy, CallEventKind, CallResult, CallStatus, PauseReason, ProviderName, SessionState
from dialer.models import Call, DialSession, VoiceKey
from dialer.services.placing import CALLING
from dialer.services.progress import is_for_nobody, note_event, note_progress
from dialer.services.scripts import said, values_of
from dialer.services.session_state import set_state, tell
from dialer.services.settings import settings_now
from dialer.services.settling import lock_call, never_again
from dialer.services.summaries import keep_transcript, result_of
from dialer.services.telephony.base import Progress
from dialer.services.telephony.recordings import want_recording
from dialer.services.telephony.twilio import answered_by_of, signature_of, status_of

log = structlog.get_logger(__name__)
_KEPT = frozenset(
    {"CallStatus", "SequenceNumber", "CallDuration", "AnsweredBy", "Timestamp", "ErrorCode", "ErrorMessage", "SipResponseCode"}
)
_NOTHING = "<Response/>"


class UnknownAddress(LookupError):
    """No tenant, no call or no such kind of report. The three look alike."""


class Forged(PermissionError):
    """The signature is not the company's."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A request as it came. `url` is the address as the company knows it, path and query included."""

    key: str
    public_id: UUID
    kind: str
    url: str
    params: Mapping[str, Sequence[str]]
    signature: str

    def value(self, name: str) -> str:
        values = self.params.get(name) or [""]
        return values[-1]

    @property
    def fingerprint(self) -> str:
        told = "&".join(f"{name}={value}" for name in sorted(self.params) for value in self.params[name])
        return hashlib.sha256(f"{self.kind}?{told}".encode()).hexdigest()


def receive_report(report: Report, *, now: datetime) -> str:
    """Take in a report; answers the XML that tells the company what to do. Raises UnknownAddress, Forged."""
    kind = _KINDS.get(report.kind)
    found = VoiceKey.objects.filter(key=report.key, tenant__is_active=True).first()
    if kind is None or found is None:
        raise UnknownAddress
    by = Actor.system(tenant_id=found.tenant_id, door=Door.WEBHOOK, label="Twilio")
    with tenant_scope(found.tenant_id, by=by):
        _check_signature(report)
        return kind(report, now, by)


def _check_signature(report: Report) -> None:
    kept = settings_now()
    try:
        token = unseal(kept.auth_token)
    except Unreadable:
        token = ""
    if kept.provider != ProviderName.TWILIO or not token:
        raise Forged
    right = signature_of(url=report.url, params=report.params, token=token)
    if not hmac.compare_digest(right.encode(), report.signature.encode()):
        raise Forged
    if report.value("AccountSid") not in ("", kept.account_sid):
        raise Forged


def _call_of(report: Report) -> Call:
    call = (
        Call.objects.select_related("session", "agent", "user", "entry__lead")
        .filter(public_id=report.public_id, provider=ProviderName.TWILIO)
        .first()
    )
    if call is None:
        raise UnknownAddress
    return call


def _progress(report: Report, now: datetime, *, status: CallStatus | None, answered_by: AnsweredBy | None = None) -> Progress:
    seconds, sequence = report.value("CallDuration"), report.value("SequenceNumber")
    error = clean_text(report.value("ErrorMessage") or (f"Error {report.value('ErrorCode')}" if report.value("ErrorCode") else ""))
    return Progress(
        status=status,
        answered_by=answered_by,
        seconds=int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 7 else None,
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 7 else -1,
        provider_call_id=report.value("CallSid")[:64],
        error=error[:300],
        fingerprint=report.fingerprint,
        payload={name: values[-1][:300] for name, values in report.params.items() if name in _KEPT and values},
        at=_told_at(report, now),
    )


def _told_at(report: Report, now: datetime) -> datetime:
    """When it happened by the company's clock, as far as ours agrees."""
    try:
        at = parsedate_to_datetime(report.value("Timestamp"))
    except (TypeError, ValueError):
        return now
    return at if at.tzinfo is not None and abs(now - at).total_seconds() < 600 and at <= now else now


# --- kinds of reports ---


def _status(report: Report, now: datetime, by: Actor) -> str:
    call = _call_of(report)
    status = status_of(report.value("CallStatus"))
    if status is None:
        log.warning("unknown_call_status", call=call.pk, status=report.value("CallStatus")[:30])
        return _NOTHING
    note_progress(
        call_id=call.pk,
        progress=_progress(report, now, status=status, answered_by=answered_by_of(report.value("AnsweredBy"))),
        now=now,
        by=by,
    )
    return _NOTHING


def _answer(report: Report, now: datetime, by: Actor) -> str:
    """The call was answered, and by whom is known where that was asked: say what the company does with it."""
    answered_by = answered_by_of(report.value("AnsweredBy")) or AnsweredBy.HUMAN
    call = _call_of(report)
    note_progress(call_id=call.pk, progress=_progress(report, now, status=CallStatus.IN_PROGRESS, answered_by=answered_by), now=now, by=by)
    call = _call_of(report)
    if not call.is_live or is_for_nobody(call) or call.result == CallResult.ABANDONED:
        return "<Response><Hangup/></Response>"
    if call.user_id is None:
        address = quoteattr(f"{settings.VOICE_PUBLIC_URL}/hooks/voice/{report.key}/{call.public_id}/said")
        listening = f'<Gather input="speech" speechTimeout="auto" timeout="6" action={address}><Say>{escape(_script(call))}</Say></Gather>'
        return f"<Response>{listening}<Hangup/></Response>"
    if call.session is not None and call.session.own_phone:
        return f"<Response><Dial>{_conference(call.session)}</Dial></Response>"
    if call.user is not None and call.user.phone:
        return f"<Response><Dial callerId={quoteattr(call.caller_id)}>{escape(call.user.phone)}</Dial></Response>"
    return "<Response><Hangup/></Response>"


def _script(call: Call) -> str:
    """What the machine says, in plain words."""
    if call.agent is None or call.entry is None:
        return ""
    return said(call.agent.script, values_of(call.entry))


def _conference(session: DialSession) -> str:
    """The line of a session, where its person waits."""
    return f'<Conference beep="false" endConferenceOnExit="false">{session.public_id}</Conference>'


def _leg(report: Report, now: datetime, by: Actor) -> str:
    """A person's own phone was answered: it waits in the session's line."""
    session = DialSession.objects.select_for_update(of=("self",)).filter(public_id=report.public_id, ended_at=None).first()
    leg = report.value("CallSid")[:64]
    # The answer may come before the order is noted.
    if session is None or session.own_call_id not in ("", CALLING, leg):
        return "<Response><Hangup/></Response>"
    session.own_call_id, session.own_answered_at = leg, session.own_answered_at or now
    session.save(update_fields=["own_call_id", "own_answered_at"])
    tell(session)
    return f"<Response><Dial>{_conference(session)}</Dial></Response>"


def _leg_status(report: Report, now: datetime, by: Actor) -> str:
    """A person's own phone hung up, or was not answered: without a line nobody can be joined to them."""
    session = DialSession.objects.select_for_update(of=("self",)).filter(public_id=report.public_id, ended_at=None).first()
    if session is None:
        raise UnknownAddress
    status = status_of(report.value("CallStatus"))
    over = status not in (None, CallStatus.QUEUED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
    # It may have failed before the order was noted.
    if over and session.own_call_id in (CALLING, report.value("CallSid")):
        session.own_call_id, session.own_answered_at = "", None
        set_state(session, SessionState.PAUSED, now=now, pause_reason=PauseReason.LOST_NETWORK)
    return _NOTHING


def _said(report: Report, now: datetime, by: Actor) -> str:
    """What who was called answered to the machine."""
    _keep_words(report, report.value("SpeechResult"), now, by)
    return "<Response><Hangup/></Response>"


def _transcription(report: Report, now: datetime, by: Actor) -> str:
    if report.value("TranscriptionStatus") in ("", "completed"):
        _keep_words(report, report.value("TranscriptionText"), now, by)
    return _NOTHING


def _keep_words(report: Report, words: str, now: datetime, by: Actor) -> None:
    locked = lock_call(_call_of(report).pk, with_lead=False)
    if locked is None or not words.strip():
        return
    call = locked.call
    if not note_event(call, CallEventKind.TRANSCRIPTION, _progress(report, now, status=None)):
        return
    if call.transcript:
        return
    transcript = f"Lead: {clean_text(words)}"
    keep_transcript(call=call, transcript=transcript)
    call.save(update_fields=["transcript", "summary"])
    # Whoever asks a machine not to be called again is not, even where it is read only afterwards.
    if not call.is_live and call.user_id is None and result_of(transcript) == CallResult.DO_NOT_CALL:
        never_again(call=call, now=now, by=by)


def _recording(report: Report, now: datetime, by: Actor) -> str:
    locked = lock_call(_call_of(report).pk, with_lead=False)
    recording_id = report.value("RecordingSid")
    good = recording_id.isascii() and recording_id.isalnum() and len(recording_id) <= 64
    if locked is None or not good or report.value("RecordingStatus") not in ("", "completed"):
        return _NOTHING
    # A recording of another call than ours would be somebody else's words.
    if locked.call.provider_call_id and report.value("CallSid") != locked.call.provider_call_id:
        return _NOTHING
    if note_event(locked.call, CallEventKind.RECORDING, _progress(report, now, status=None)):
        want_recording(call=locked.call, recording_id=recording_id, now=now)
    return _NOTHING


_KINDS = {
    "status": _status,
    "answer": _answer,
    "leg": _leg,
    "leg-status": _leg_status,
    "said": _said,
    "transcription": _transcription,
    "recording": _recording,
}
