"""Access and refresh tokens. simplejwt is the codec; sessions and rotation are ours (see docs/decisions)."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

from crm.identity.models import AuthSession, User

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Read document 1's notation, such as `72h`, `30m` or `7d`; a bare number is seconds."""
    match = re.fullmatch(r"\s*(\d+)\s*([smhd]?)\s*", text)
    if not match:
        raise ValueError(f"Not a duration: {text!r}. Write 72h, 30m or 7d.")
    return timedelta(**{_UNITS[match[2] or "s"]: int(match[1])})


def access_lifetime() -> timedelta:
    return parse_duration(settings.JWT_EXPIRES_IN)


@cache
def _codec(secret: str) -> TokenBackend:
    return TokenBackend("HS256", signing_key=secret)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a sign-in hands out. `expires_in` is document 1's text, such as `72h`."""

    access: str
    refresh: str
    expires_in: str


def issue_access(user: User, session: AuthSession) -> str:
    """Sign an access token with the claims of rule 1.20 and the session's id."""
    now = datetime.now(UTC)
    claims = {
        "user_id": user.pk,
        "email": user.email,
        "role_id": user.role_id,
        "entity_id": user.tenant_id,
        "entity_name": user.tenant.name,
        "iat": int(now.timestamp()),
        "exp": int((now + access_lifetime()).timestamp()),
        "sid": session.pk,
        "jti": secrets.token_hex(8),
    }
    return _codec(settings.JWT_SECRET).encode(claims)


def read_access(token: str) -> dict[str, Any] | None:
    """The claims of a token with a good signature and time, else None."""
    try:
        claims = _codec(settings.JWT_SECRET).decode(token)  # type: ignore[arg-type]
    except TokenBackendError:
        return None
    return claims if isinstance(claims.get("sid"), int) and isinstance(claims.get("user_id"), int) else None


def new_refresh(session_id: int) -> tuple[str, str]:
    """A refresh token and the secret part that is stored as its fingerprint.

    It is signed, so that a token we once issued can be told from a guess: only the former, used again, ends its session.
    """
    secret = secrets.token_urlsafe(32)
    return f"{session_id}.{secret}.{_refresh_mark(session_id, secret)}", secret


def read_refresh(token: str) -> tuple[int, str] | None:
    """The session's id and the secret of a refresh token that we issued, however long ago, else None."""
    session_id, _, rest = token.partition(".")
    secret, _, mark = rest.partition(".")
    if not session_id.isascii() or not session_id.isdigit() or len(session_id) > 18:
        return None
    return (int(session_id), secret) if constant_time_compare(mark, _refresh_mark(int(session_id), secret)) else None


def _refresh_mark(session_id: int, secret: str) -> str:
    return salted_hmac("crm.identity.refresh", f"{session_id}.{secret}", secret=settings.JWT_SECRET, algorithm="sha256").hexdigest()[:32]
