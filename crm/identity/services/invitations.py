"""Invite people into a tenant. Nobody joins an existing tenant by naming it."""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, NotFound
from crm.events.bus import publish
from crm.identity.errors import WrongCode
from crm.identity.events import UserInvited
from crm.identity.models import Invitation, Role, Team, User
from crm.tenancy.scope import tenant_scope

_SALT = "crm.identity.invitation"
LIFETIME = timedelta(days=7)


class AlreadyMember(DomainError):
    code = "ALREADY_MEMBER"


def invite_user(*, email: str, role: Role, team: Team | None = None, by: Actor) -> Invitation:
    """Offer a role to an address and have the link mailed. An open invitation to the same address is replaced.

    Nobody offers a role that may do more than their own.
    """
    by.require("identity.add_user")
    refuse_greater_role(role, by)
    if User.objects.filter(email__iexact=email).exists():
        raise AlreadyMember("This person is already a member.", field="email")
    now = timezone.now()
    Invitation.objects.filter(email__iexact=email, accepted_at=None, withdrawn_at=None).update(withdrawn_at=now)
    invitation = Invitation.objects.create(email=email, role=role, team=team, invited_by_id=by.user_id, expires_at=now + LIFETIME)
    publish(UserInvited(invitation_id=invitation.pk))
    return invitation


def refuse_greater_role(role: Role, by: Actor) -> None:
    """Nobody gives, or takes from somebody, what they do not hold themselves."""
    if not by.all_powerful and not role.effective_capabilities <= by.capabilities:
        raise Forbidden("This role may do more than yours. Ask an admin.")


def withdraw_invitation(*, invitation: Invitation, by: Actor) -> None:
    by.require("identity.add_user")
    if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None).update(withdrawn_at=timezone.now()):
        raise NotFound("This invitation is no longer open.")


def invitation_token(invitation: Invitation) -> str:
    """The link's token: tenant and id, signed. The tenant opens the scope in which the row is looked up."""
    return signing.dumps([invitation.tenant_id, invitation.pk], salt=_SALT)


def join_link(invitation: Invitation) -> str:
    """The address that the mail holds and that may be handed on."""
    return f"{settings.SITE_URL}/join/{invitation_token(invitation)}"


def invitation_of_token(token: str) -> Invitation:
    """Find an open invitation. Raises WrongCode for a forged, used, withdrawn or old one."""
    refusal = WrongCode("This invitation is no longer valid. Ask for a new one.", field="invitation_token")
    try:
        tenant_id, invitation_id = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except (signing.BadSignature, ValueError, TypeError):
        raise refusal from None
    with tenant_scope(tenant_id):
        invitation = (
            Invitation.objects.filter(pk=invitation_id, accepted_at=None, withdrawn_at=None, expires_at__gt=timezone.now())
            .select_related("role", "tenant", "invited_by")
            .first()
        )
    if invitation is None:
        raise refusal
    return invitation
