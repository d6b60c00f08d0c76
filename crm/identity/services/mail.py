"""Mails about people. Each is sent by an outbox subscriber: a mail server that is away delays it and never loses it."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from crm.identity.events import PasswordResetAsked, RegistrationCodeAsked, UserInvited
from crm.identity.models import Invitation, Registration, User
from crm.identity.services.invitations import join_link
from crm.identity.services.passwords import reset_token
from crm.identity.services.registration import make_code


def mail_registration_code(event: RegistrationCodeAsked) -> None:
    """Mail the code; somebody who already has an account is told so instead."""
    registration = Registration.objects.filter(pk=event.registration_id).first()
    if registration is None:
        return
    if registration.address_known:
        _send("already_registered", to=registration.email, registration=registration, sign_in_url=f"{settings.SITE_URL}/sign-in")
    else:
        code = make_code(registration)
        _send("registration_code", to=registration.email, registration=registration, code=code, verify_url=f"{settings.SITE_URL}/verify")


def mail_password_reset(event: PasswordResetAsked) -> None:
    user = User.objects.filter(pk=event.user_id, is_active=True).first()
    if user is not None:
        _send("password_reset", to=user.email, user=user, reset_url=f"{settings.SITE_URL}/reset-password/{reset_token(user)}")


def mail_invitation(event: UserInvited) -> None:
    invitation = Invitation.objects.select_related("tenant", "invited_by", "role").filter(pk=event.invitation_id, withdrawn_at=None).first()
    if invitation is not None:
        _send("invitation", to=invitation.email, invitation=invitation, join_url=join_link(invitation))


def _send(template: str, *, to: str, **context: Any) -> None:
    text = render_to_string(f"identity/mail/{template}.txt", context)
    subject, _, body = text.partition("\n")
    send_mail(subject.strip(), body.strip() + "\n", settings.DEFAULT_FROM_EMAIL, [to])
