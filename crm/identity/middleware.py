"""Sign-in on pages: the browser session names an AuthSession; ending that ends the sign-in at once."""

import ipaddress
import zoneinfo
from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from crm.actors import Door
from crm.identity.authentication import session_of
from crm.identity.models import AuthSession
from crm.identity.selectors import actor_for
from crm.identity.services.signin import Client, sign_out
from crm.rest.views import client_ip
from crm.tenancy.scope import tenant_scope

SESSION_KEY = "auth_session_id"
Next = Callable[[HttpRequest], HttpResponse]


def remember(request: HttpRequest, session: AuthSession) -> None:
    """Bind a sign-in to the browser. The session key changes, so a planted one is worthless."""
    request.session.flush()
    request.session[SESSION_KEY] = session.pk
    rotate_token(request)
    request.auth_session = session  # type: ignore[attr-defined]
    request.user = session.user  # type: ignore[assignment]


def forget(request: HttpRequest) -> None:
    """Sign out: end the session, which ends its tokens, and empty the browser's. Nobody signed in: nothing happens."""
    if request.user.is_authenticated and request.auth_session is not None:  # type: ignore[attr-defined]
        sign_out(session=request.auth_session)  # type: ignore[attr-defined]
    request.session.flush()
    request.auth_session = None  # type: ignore[attr-defined]
    request.user = AnonymousUser()


class SignInMiddleware(AuthenticationMiddleware):
    """Set `request.user` lazily and `request.auth_session` with it. Takes the place of Django's own."""

    def process_request(self, request: HttpRequest) -> None:
        request.auth_session = None  # type: ignore[attr-defined]
        request.user = SimpleLazyObject(lambda: self._user(request))  # type: ignore[assignment]
        # The page base lies below identity and asks for the actor through this.
        request.load_actor = lambda door: actor_for(request.user, door=door)  # type: ignore[attr-defined, arg-type]

    @staticmethod
    def _user(request: HttpRequest) -> Any:
        session_id = request.session.get(SESSION_KEY)
        session = session_of(session_id) if isinstance(session_id, int) else None
        if session is None:
            return AnonymousUser()
        request.auth_session = session  # type: ignore[attr-defined]
        return session.user


class LocaleMiddleware:
    """Show times in the user's zone, or the tenant's."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(("/api/", "/v1/", "/static/", "/health/")) or not request.user.is_authenticated:
            return self.get_response(request)
        name = request.user.time_zone or request.user.tenant.time_zone
        with timezone.override(zoneinfo.ZoneInfo(name)):
            return self.get_response(request)


class AdminScopeMiddleware:
    """Run the Django admin inside the user's tenant: one transaction, the third door of the same walls."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return self.get_response(request)
        actor = actor_for(request.user, door=Door.ADMIN)  # type: ignore[arg-type]
        request.actor = actor  # type: ignore[attr-defined]
        with tenant_scope(actor.tenant_id, by=actor, request_id=request.request_id):  # type: ignore[attr-defined]
            response = self.get_response(request)
            if hasattr(response, "render") and not response.is_rendered:
                response.render()
            if response.status_code >= 500:
                transaction.set_rollback(True)
            return response


def client_of(request: Any) -> Client:
    """Where a request comes from, fit to be kept with a session. Takes the API's requests and the pages'."""
    ip: str | None = client_ip(request)
    try:
        ipaddress.ip_address(ip or "")
    except ValueError:
        ip = None
    return Client(ip=ip, user_agent=request.headers.get("User-Agent", "").replace("\x00", "")[:300])
