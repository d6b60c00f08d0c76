"""Passwords: rules, check with lock-out, change, reset by mail."""

import hashlib
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.encoding import force_bytes, force_str
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from redis.exceptions import RedisError

from crm.errors import InvalidInput
from crm.events.bus import publish
from crm.identity.errors import LockedOut, WrongCode, WrongCredentials
from crm.identity.events import PasswordResetAsked
from crm.identity.models import AuthSession, User
from crm.tenancy.scope import tenant_scope

TRIES_BEFORE_LOCK = 5
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(hours=1)


def check_password_rules(password: str, *, user: User | None = None, field: str = "password") -> None:
    try:
        validate_password(password, user=user)
    except ValidationError as error:
        raise InvalidInput({field: list(error.messages)}) from None


def check_password_of(*, email: str, password: str) -> User:
    """Find the active user with these credentials. Wrong ones count towards a lock, in a transaction of their own.

    An unknown address costs the same time as a wrong password and gets the same answers, the lock included.
    """
    user = User.identities.select_related("tenant").filter(email__iexact=email).first()
    if user is None:
        make_password(password)
        _refuse_unknown(email)
        raise WrongCredentials("Wrong e-mail or password.")
    now = timezone.now()
    if user.locked_until and user.locked_until > now:
        raise _locked((user.locked_until - now).total_seconds())
    if not user.check_password(password):
        _count_failure(user)
        raise WrongCredentials("Wrong e-mail or password.")
    if not (user.is_active and user.tenant.is_active):
        raise WrongCredentials("Wrong e-mail or password.")
    if user.failed_sign_ins:
        User.identities.filter(pk=user.pk).update(failed_sign_ins=0, locked_until=None)
    return user


def _locked(seconds: float) -> LockedOut:
    wait = int(seconds) + 1
    return LockedOut(f"Too many wrong passwords. Try again in {wait} seconds.", retry_after=wait)


def _lock_after(failures: int) -> timedelta | None:
    """How long the address stays closed: nothing at first, then doubling."""
    if failures < TRIES_BEFORE_LOCK:
        return None
    return min(FIRST_LOCK * 2 ** min(failures - TRIES_BEFORE_LOCK, 16), LONGEST_LOCK)


def _refuse_unknown(email: str) -> None:
    """Lock an address nobody has like any other, else the lock would tell which addresses exist. Best effort: kept in Valkey."""
    key = f"unknown-address:{hashlib.sha256(email.lower().encode()).hexdigest()}"
    now = timezone.now()
    try:
        failures, locked_until = cache.get(key) or (0, None)
        if locked_until and locked_until > now:
            raise _locked((locked_until - now).total_seconds())
        lock = _lock_after(failures + 1)
        cache.set(key, (failures + 1, now + lock if lock else None), 24 * 3600)
    except RedisError:
        return


def _count_failure(user: User) -> None:
    with transaction.atomic(durable=False):
        User.identities.filter(pk=user.pk).update(failed_sign_ins=F("failed_sign_ins") + 1)
        failures = User.identities.values_list("failed_sign_ins", flat=True).get(pk=user.pk)
        lock = _lock_after(failures)
        if lock:
            User.identities.filter(pk=user.pk).update(locked_until=timezone.now() + lock)


def ask_password_reset(*, email: str) -> None:
    """Mail a link if the address is known. The answer is the same either way."""
    user = User.identities.filter(email__iexact=email, is_active=True).first()
    if user is not None:
        with tenant_scope(user.tenant_id):
            publish(PasswordResetAsked(user_id=user.pk))


def reset_token(user: User) -> str:
    """A single-use token: it dies with the next sign-in or password change, or after PASSWORD_RESET_TIMEOUT seconds."""
    return f"{urlsafe_base64_encode(force_bytes(user.pk))}.{default_token_generator.make_token(user)}"


def user_of_reset_token(token: str) -> User:
    """Raises WrongCode for a bad, used or old token."""
    uid, _, secret = token.partition(".")
    try:
        user = User.identities.select_related("tenant").filter(pk=int(force_str(urlsafe_base64_decode(uid))), is_active=True).first()
    except (ValueError, UnicodeDecodeError):
        user = None
    if user is None or not default_token_generator.check_token(user, secret):
        raise WrongCode("This link is no longer valid. Ask for a new one.", field="token")
    return user


def confirm_password_reset(*, token: str, password: str) -> User:
    """Set the password, unlock the user and end every session."""
    user = user_of_reset_token(token)
    check_password_rules(password, user=user)
    _set_password(user, password)
    return user


def change_password(*, user: User, current: str, new: str, keep: AuthSession | None) -> None:
    """Set a new password after checking the present one; ends all other sessions."""
    if not user.check_password(current):
        raise InvalidInput({"current_password": ["This is not your present password."]})
    check_password_rules(new, user=user, field="new_password")
    _set_password(user, new, keep=keep)


def _set_password(user: User, password: str, *, keep: AuthSession | None = None) -> None:
    user.set_password(password)
    sessions = AuthSession.objects.filter(user=user, ended_at=None)
    if keep is not None:
        sessions = sessions.exclude(pk=keep.pk)
    with transaction.atomic():
        User.identities.filter(pk=user.pk).update(password=user.password, failed_sign_ins=0, locked_until=None)
        sessions.update(ended_at=timezone.now(), end_reason="password_changed")
