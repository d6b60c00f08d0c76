"""How API requests prove who they are: Bearer token or API key, cookie `token`, browser session."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, cast

from django.db import connection
from django.db.models import F, Model, Q
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.actors import Actor, Door
from crm.identity.models import ApiKey, AuthSession, User, fingerprint
from crm.identity.selectors import actor_for
from crm.identity.tokens import read_access
from crm.tenancy.models import Tenant

SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a request proved: a user, by a session or a key."""

    user: User
    session: AuthSession | None = None
    key: ApiKey | None = None

    def actor(self, tenant_id: int) -> Actor:
        """The actor inside a tenant: the user's own, or any for platform staff."""
        if tenant_id != self.user.tenant_id:
            return Actor(tenant_id=tenant_id, label=f"{self.user.full_name} (platform)", door=Door.API, all_powerful=True)
        return actor_for(self.user, door=Door.API, key=self.key)


def _columns(model: type[Model], alias: str) -> str:
    return ", ".join(f"{alias}.{column.column}" for column in model._meta.concrete_fields)


# Asked once in every request, so it is text rather than a query compiled each time.
_SESSION_SQL = f"""
SELECT {_columns(AuthSession, "session")}, {_columns(User, "person")}, {_columns(Tenant, "tenant")}
FROM identity_authsession AS session
JOIN identity_user AS person ON person.id = session.user_id AND person.is_active
JOIN tenancy_tenant AS tenant ON tenant.id = person.tenant_id AND tenant.is_active
WHERE session.id = %s AND session.user_id = coalesce(%s, session.user_id) AND session.ended_at IS NULL AND session.expires_at > %s
"""  # noqa: S608 -- the columns are the models' own


def session_of(session_id: int, *, user_id: int | None = None) -> AuthSession | None:
    """A live session with its user and tenant, one query; marks it seen at most once a minute."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_SESSION_SQL, [session_id, user_id, now])
        row = cursor.fetchone()
    if row is None:
        return None
    values = iter(row)
    session, user, tenant = (_instance(model, values) for model in (AuthSession, User, Tenant))
    session.user, user.tenant = user, tenant
    if session.last_seen_at < now - SEEN_EVERY:
        AuthSession.objects.filter(pk=session.pk).update(last_seen_at=now)
    return cast("AuthSession", session)


def _instance(model: type[Model], values: Iterator[Any]) -> Any:
    """A record from the next of a row's values, as the ORM would make it."""
    columns = model._meta.concrete_fields
    read = [
        column.from_db_value(value, None, connection) if hasattr(column, "from_db_value") else value
        for column, value in zip(columns, islice(values, len(columns)), strict=True)
    ]
    return model.from_db(connection.alias, [column.attname for column in columns], read)


def _by_token(token: str) -> Proof:
    claims = read_access(token)
    session = session_of(claims["sid"], user_id=claims["user_id"]) if claims else None
    if session is None:
        raise AuthenticationFailed("The token is not valid or has expired.")
    return Proof(user=session.user, session=session)


def _by_key(secret: str) -> Proof:
    now = timezone.now()
    key = (
        ApiKey.identities.select_related("user__tenant")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), secret_hash=fingerprint(secret), revoked_at=None)
        .filter(user__is_active=True, user__tenant__is_active=True, user__tenant=F("tenant"))
        .first()
    )
    if key is None:
        raise AuthenticationFailed("The API key is not valid.")
    if key.last_used_at is None or key.last_used_at < now - SEEN_EVERY:
        ApiKey.identities.filter(pk=key.pk).update(last_used_at=now)
    return Proof(user=key.user, key=key)


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token or API key>`."""

    def authenticate(self, request: Request) -> tuple[User, Proof] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret:
            return None
        proof = _by_key(secret) if secret.startswith("smk_") else _by_token(secret)
        return proof.user, proof

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CookieTokenAuthentication(BaseAuthentication):
    """Cookie `token=<jwt>` (rule 3.1), with CSRF protection for unsafe methods."""

    def authenticate(self, request: Request) -> tuple[User, Proof] | None:
        token = request.COOKIES.get("token")
        if not token:
            return None
        claims = read_access(token)
        session = session_of(claims["sid"], user_id=claims["user_id"]) if claims else None
        if session is None:
            # A stale cookie must not shut out a caller who is signed in another way.
            return None
        enforce_csrf(request)
        return session.user, Proof(user=session.user, session=session)


class BrowserSessionAuthentication(BaseAuthentication):
    """The pages' own session, for scripts on them."""

    def authenticate(self, request: Request) -> tuple[User, Proof] | None:
        user = getattr(request._request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        enforce_csrf(request)
        return user, Proof(user=user, session=getattr(request._request, "auth_session", None))


class _Csrf(CsrfViewMiddleware):
    def _reject(self, request: Any, reason: str) -> Any:
        return reason


def enforce_csrf(request: Request) -> None:
    check = _Csrf(lambda _: None)  # type: ignore[arg-type, return-value]
    check.process_request(request._request)
    reason = check.process_view(request._request, None, (), {})
    if reason:
        raise AuthenticationFailed(f"CSRF check failed: {reason}")
