"""What audit puts on record of others' events, in their transaction."""

from audit.services.acts import record_act
from crm.actors import Actor, Door
from crm.identity.enums import SessionKind
from crm.identity.events import UserSignedIn, UserSignedOut
from crm.identity.models import User


def record_sign_in(event: UserSignedIn) -> None:
    record_act(action="signed_in", details={"session": event.session_id}, by=_who(event.user_id, event.kind))


def record_sign_out(event: UserSignedOut) -> None:
    record_act(action="signed_out", details={"session": event.session_id}, by=_who(event.user_id, event.kind))


def _who(user_id: int, kind: str) -> Actor:
    user = User.objects.get(pk=user_id)
    return Actor(tenant_id=user.tenant_id, user_id=user.pk, label=user.full_name, door=Door.PAGE if kind == SessionKind.PAGE else Door.API)
