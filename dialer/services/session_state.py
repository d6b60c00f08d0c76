"""What a person at the desk does: one place that changes it, so that every change leaves its minutes behind."""

from datetime import datetime

from crm.events import live
from dialer.enums import PauseReason, SessionState
from dialer.models import Call, DialSession, SessionSpan


def set_state(session: DialSession, state: SessionState, *, now: datetime, pause_reason: PauseReason | str = "") -> None:
    """Move a locked session on and save it. The state it was in becomes a span."""
    if session.state != state or session.pause_reason != pause_reason:
        if now > session.state_since:
            SessionSpan.objects.create(
                tenant_id=session.tenant_id, session_id=session.pk, user_id=session.user_id, state=session.state, pause_reason=session.pause_reason,
                started_at=session.state_since, ended_at=now,
            )  # fmt: skip
        session.state, session.pause_reason, session.state_since = state, pause_reason, max(now, session.state_since)
    session.save(
        update_fields=[
            "state", "pause_reason", "state_since", "entry", "heartbeat_at", "ended_at", "own_call_id", "own_answered_at", "mode"
        ]
    )  # fmt: skip
    tell(session)


def tell(session: DialSession, call: Call | None = None) -> None:
    """Let the person's own page look again, and whoever coaches."""
    data = {"session": str(session.public_id), "call": str(call.public_id) if call else ""}
    live.announce("dialer.changed", data=data, user_id=session.user_id)
    live.announce("dialer.agent", data={"agent": ""})
