"""Sign up, prove the address, join or open a tenant."""

import hashlib
import re
import secrets
from datetime import timedelta

from django.contrib.auth.hashers import check_password, make_password
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from redis.exceptions import RedisError

from crm.errors import InvalidInput, TooManyRequests
from crm.events.bus import publish
from crm.identity.enums import RoleCode
from crm.identity.errors import UsernameTaken, WrongCode
from crm.identity.events import RegistrationCodeAsked, UserJoined
from crm.identity.models import Registration, Role, TeamMember, User
from crm.identity.services.invitations import invitation_of_token
from crm.identity.services.passwords import check_password_rules
from crm.identity.services.tenants import TenantNameTaken, open_tenant
from crm.tenancy.scope import tenant_scope

CODE_LIFETIME = timedelta(minutes=10)
RESEND_AFTER = timedelta(seconds=60)
TRIES = 5
# How many registrations of one address can be waiting for their codes.
MOST_OPEN = 3


def register(
    *,
    username: str,
    email: str,
    password: str,
    first_name: str,
    last_name: str = "",
    phone: str = "",
    company: str = "",
    invitation_token: str = "",
) -> Registration:
    """Take a registration and have a code mailed. The answer is the same whether the address is known or not (decision K11).

    Refuses a taken username, a weak password, and an invitation that is closed or was sent to another address. The
    password is kept hashed.
    """
    if invitation_token and invitation_of_token(invitation_token).email.lower() != email.lower():
        raise InvalidInput({"email": ["This invitation was sent to another address."]})
    check_password_rules(password, user=User(username=username, email=email, first_name=first_name, last_name=last_name))
    if User.identities.filter(username__iexact=username).exclude(email__iexact=email).exists():
        raise UsernameTaken("This username is taken.", field="username")
    with transaction.atomic():
        registration = Registration.objects.create(
            username=username,
            email=email,
            password=make_password(password),
            first_name=first_name,
            last_name=last_name,
            phone=phone,
            company=company,
            invitation_token=invitation_token,
            address_known=User.identities.filter(email__iexact=email).exists(),
            code_sent_at=timezone.now(),
        )
        publish(RegistrationCodeAsked(registration_id=registration.pk))
    return registration


def make_code(registration: Registration) -> str:
    """Make the six-digit code at the moment of mailing; only its hash is stored. Replaces any earlier code."""
    code = f"{secrets.randbelow(1_000_000):06d}"
    now = timezone.now()
    registration.code_hash = make_password(code)
    registration.code_expires_at = now + CODE_LIFETIME
    registration.tries_left = TRIES
    registration.save(update_fields=["code_hash", "code_expires_at", "tries_left"])
    return code


def resend_code(*, email: str, registration_id: int | None = None) -> None:
    """Mail a fresh code for the registration meant, else for the address's last, at most once a minute.

    An unknown address gets the same answer.
    """
    asked = Registration.objects.filter(email__iexact=email).order_by("-id")
    registration = (asked.filter(pk=registration_id) if registration_id is not None else asked).first()
    if registration is None:
        _refuse_unknown_soon_again(email)
        return
    now = timezone.now()
    taken = Registration.objects.filter(pk=registration.pk, code_sent_at__lte=now - RESEND_AFTER).update(code_sent_at=now)
    if not taken:
        raise _too_soon()
    with transaction.atomic():
        publish(RegistrationCodeAsked(registration_id=registration.pk))


def _too_soon() -> TooManyRequests:
    return TooManyRequests("A code was sent less than a minute ago. Please wait a moment.", retry_after=int(RESEND_AFTER.total_seconds()))


def _refuse_unknown_soon_again(email: str) -> None:
    """Hold an unknown address to the same pause, so that the pause does not tell who signed up. Best effort."""
    try:
        fresh = cache.add(f"resend:{hashlib.sha256(email.lower().encode()).hexdigest()}", 1, RESEND_AFTER.total_seconds())
    except RedisError:
        return
    if not fresh:
        raise _too_soon()


def verify_email(*, email: str, code: str, registration_id: int | None = None) -> User:
    """Turn a registration into a user: in the invitation's tenant and role, or as admin of a new tenant.

    A code admits the registration it was mailed for, so that a stranger who signs up with the same address afterwards gains
    nothing by its owner's code. `registration_id` says which registration is meant, where the caller knows; else the last few
    of the address are tried. A wrong code uses up one of five tries of each, committed even though the request is refused.
    """
    wrong = WrongCode("The code is wrong or no longer valid.", field="otp")
    asked = Registration.objects.filter(email__iexact=email).order_by("-id")
    if registration_id is not None:
        asked = asked.filter(pk=registration_id)
    ids = list(asked.values_list("pk", flat=True)[:MOST_OPEN])
    usable = Registration.objects.filter(pk__in=ids, tries_left__gt=0, code_expires_at__gt=timezone.now())
    open_ids = list(usable.values_list("pk", flat=True))
    if not open_ids or not usable.update(tries_left=F("tries_left") - 1):
        make_password(code)
        raise wrong
    for registration in Registration.objects.filter(pk__in=open_ids).order_by("-id"):
        if check_password(code, registration.code_hash) and not registration.address_known:
            return _admit(registration)
    raise wrong


def _admit(registration: Registration) -> User:
    with transaction.atomic():
        invitation = invitation_of_token(registration.invitation_token) if registration.invitation_token else None
        tenant_id = invitation.tenant_id if invitation else _open_tenant_for(registration)
        with tenant_scope(tenant_id):
            role_id = invitation.role_id if invitation else Role.objects.get(code=RoleCode.ADMIN).pk
            user = _create_user(registration, tenant_id=tenant_id, role_id=role_id)
            if invitation:
                invitation.accepted_at = timezone.now()
                invitation.save(update_fields=["accepted_at"])
                if invitation.team_id:
                    TeamMember.objects.create(team_id=invitation.team_id, user=user)
            publish(UserJoined(user_id=user.pk))
        Registration.objects.filter(email__iexact=registration.email).delete()
    return user


def _create_user(registration: Registration, *, tenant_id: int, role_id: int) -> User:
    user = User(
        tenant_id=tenant_id,
        username=registration.username,
        email=registration.email,
        password=registration.password,
        first_name=registration.first_name,
        last_name=registration.last_name,
        phone=registration.phone,
        role_id=role_id,
    )
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        if "username" in str(error):
            raise UsernameTaken("This username was taken meanwhile. Please register with another.", field="username") from None
        raise WrongCode("The code is wrong or no longer valid.", field="otp") from None
    return user


def _open_tenant_for(registration: Registration) -> int:
    """Name the tenant after the company given, else the address's owner; a taken name gets a number."""
    wanted = registration.company or f"{registration.first_name} {registration.last_name}".strip()
    base = re.sub(r"\s+", " ", wanted)[:90]
    for number in range(1, 100):
        name = base if number == 1 else f"{base} {number}"
        try:
            return open_tenant(name=name).pk
        except TenantNameTaken:
            continue
    raise TenantNameTaken("Too many companies with this name. Please register with another.", field="company")
