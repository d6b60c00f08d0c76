"""Sign in and out; sessions, refresh with rotation."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.utils import timezone

from crm.errors import NotFound, NotSignedIn
from crm.events.bus import publish
from crm.identity.enums import SessionKind
from crm.identity.errors import EmailNotVerified, WrongCredentials
from crm.identity.events import UserSignedIn, UserSignedOut
from crm.identity.models import AuthSession, Registration, User, fingerprint
from crm.identity.services.passwords import check_password_of
from crm.identity.services.registration import verify_email
from crm.identity.tokens import Tokens, issue_access, new_refresh, read_refresh
from crm.tenancy.scope import tenant_scope


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where a sign-in comes from, kept with its session."""

    ip: str | None = None
    user_agent: str = ""


def sign_in(*, email: str, password: str, kind: SessionKind, client: Client) -> AuthSession:
    """Open a session for good credentials. `session.user` is loaded with its tenant.

    Somebody who signed up, knows the password and has not verified the address is told so.
    """
    try:
        user = check_password_of(email=email, password=password)
    except WrongCredentials:
        waiting = Registration.objects.filter(email__iexact=email, address_known=False).order_by("-id").first()
        if waiting is not None and check_password(password, waiting.password):
            raise EmailNotVerified("Please verify your e-mail address first.", field="email") from None
        raise
    return open_session(user=user, kind=kind, client=client)


def verify_and_sign_in(*, email: str, code: str, registration_id: int | None = None, kind: SessionKind, client: Client) -> AuthSession:
    """Turn a registration into a user and open a first session. A wrong code uses up a try."""
    return open_session(user=verify_email(email=email, code=code, registration_id=registration_id), kind=kind, client=client)


def open_session(*, user: User, kind: SessionKind, client: Client) -> AuthSession:
    """Open a session for somebody who has proved who they are, and put it on record."""
    now = timezone.now()
    lifetime = timedelta(seconds=settings.SESSION_COOKIE_AGE) if kind == SessionKind.PAGE else timedelta(days=settings.JWT_REFRESH_DAYS)
    with tenant_scope(user.tenant_id):
        session = AuthSession.objects.create(
            tenant_id=user.tenant_id, user=user, kind=kind, ip=client.ip, user_agent=client.user_agent[:300], expires_at=now + lifetime
        )
        User.identities.filter(pk=user.pk).update(last_login=now)
        publish(UserSignedIn(user_id=user.pk, session_id=session.pk, kind=kind))
    return session


def issue_tokens(*, session: AuthSession) -> Tokens:
    """Make an access and a refresh token. Any refresh token issued before becomes a replay."""
    refresh, secret = new_refresh(session.pk)
    session.refresh_hash = fingerprint(secret)
    session.refresh_expires_at = session.expires_at
    session.save(update_fields=["refresh_hash", "refresh_expires_at"])
    return Tokens(access=issue_access(session.user, session), refresh=refresh, expires_in=settings.JWT_EXPIRES_IN)


def refresh_tokens(*, refresh: str) -> Tokens:
    """Swap a refresh token for new tokens, once. A second use means it was stolen: the whole session ends.

    What we never issued is refused and ends nothing, else anybody could end anybody's session by its number.
    """
    known = read_refresh(refresh)
    if known is None:
        raise NotSignedIn("This refresh token is not valid.")
    session_id, secret = known
    now = timezone.now()
    successor, new_secret = new_refresh(session_id)
    if not AuthSession.objects.filter(pk=session_id, user__is_active=True, user__tenant__is_active=True).exists():
        raise NotSignedIn("This refresh token is not valid.")
    # The row's own columns alone: a joined condition is asked of what was there before waiting for the lock, and two would pass.
    alive = AuthSession.objects.filter(pk=session_id, ended_at=None, refresh_expires_at__gt=now)
    if not alive.filter(refresh_hash=fingerprint(secret)).update(refresh_hash=fingerprint(new_secret), last_seen_at=now):
        alive.update(ended_at=now, end_reason="refresh_replayed")
        raise NotSignedIn("This refresh token is not valid.")
    session = AuthSession.objects.select_related("user__tenant").get(pk=session_id)
    return Tokens(access=issue_access(session.user, session), refresh=successor, expires_in=settings.JWT_EXPIRES_IN)


def sign_out(*, session: AuthSession) -> None:
    """End a session and every token of it, at once. Ending it twice changes nothing."""
    with tenant_scope(session.tenant_id):
        if AuthSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now(), end_reason="signed_out"):
            publish(UserSignedOut(user_id=session.user_id, session_id=session.pk, kind=session.kind))


def end_other_sessions(*, user: User, keep: AuthSession | None) -> int:
    """End all of the user's sessions but the one in use. Answers how many there were."""
    sessions = AuthSession.objects.filter(user=user, ended_at=None)
    if keep is not None:
        sessions = sessions.exclude(pk=keep.pk)
    return sessions.update(ended_at=timezone.now(), end_reason="ended_by_user")


def end_session(*, user: User, session_id: int) -> None:
    """End one of the user's own sessions. Another's is not found."""
    ended = AuthSession.objects.filter(pk=session_id, user=user, ended_at=None).update(ended_at=timezone.now(), end_reason="ended_by_user")
    if not ended:
        raise NotFound("No such session.")


__all__ = [
    "Client",
    "check_password_of",
    "end_other_sessions",
    "end_session",
    "issue_tokens",
    "open_session",
    "refresh_tokens",
    "sign_in",
    "sign_out",
    "verify_and_sign_in",
]
