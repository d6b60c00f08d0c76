"""Record acts that change no row."""

from typing import Any

from audit.models import AuditEvent
from crm.actors import Actor
from crm.tenancy.scope import current_scope


def record_act(*, action: str, subject: str = "", details: dict[str, Any] | None = None, by: Actor) -> AuditEvent:
    """Keep an act in the audit log, in the caller's transaction."""
    return AuditEvent.objects.create(
        user_id=by.user_id,
        actor=by.label[:150],
        door=str(by.door),
        action=action,
        subject=subject[:200],
        details=details or {},
        request_id=current_scope().request_id,
    )
