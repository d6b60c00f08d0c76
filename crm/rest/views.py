"""The request flow of the CRM surface: sign-in, headers, limits, then the handler inside the tenant's scope."""

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from crm.actors import Actor
from crm.errors import Forbidden, InvalidInput, NotFound, NotSignedIn
from crm.rest.envelope import CrmSurface
from crm.rest.throttles import Limit, caller_limits, spend
from crm.tenancy.models import Tenant
from crm.tenancy.scope import act_as, tenant_scope


class ApiView(APIView):
    """Base of all API views. A handler runs in one transaction with the tenant open and `self.actor` set.

    `capabilities` maps a method to the permission it needs; a method that is not named needs a sign-in only.
    """

    surface: ClassVar[type] = CrmSurface
    capabilities: ClassVar[dict[str, str]] = {}
    rate_kind: ClassVar[str] = "standard"
    actor: Actor

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers: dict[str, str] = self.default_response_headers
        self.request = self.initialize_request(request, *args, **kwargs)
        try:
            self.check_in(self.request)
            handler = getattr(self, request.method.lower(), self.http_method_not_allowed)  # type: ignore[union-attr]
            response = self.run(handler, self.request, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
        self.response = self.finalize_response(self.request, response, *args, **kwargs)
        return self.response

    def check_in(self, request: Request) -> None:
        """Negotiate, check the version header, sign in, spend the caller's limits."""
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request, force=True)
        if request.headers.get("X-API-Version", "v1") != "v1":
            raise InvalidInput({"X-API-Version": ["Only v1 is served."]})
        self.perform_authentication(request)
        if request.user is None:
            raise NotSignedIn("Please sign in.")
        rate_class = "api" if request.auth and request.auth.key else request.user.rate_class
        spend(caller_limits(caller=f"user:{request.user.pk}", rate_class=rate_class, kind=self.rate_kind_of(request)))

    def rate_kind_of(self, request: Request) -> str:
        return self.rate_kind

    def run(self, handler: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        tenant_id = self._tenant_asked_for(request)
        with tenant_scope(tenant_id, request_id=request._request.request_id) as scope:
            if tenant_id == request.user.tenant_id:
                scope.memo["tenant"] = request.user.tenant
            self.actor = request.auth.actor(tenant_id)
            needed = self.capabilities.get(request.method.lower())  # type: ignore[union-attr]
            if needed:
                self.actor.require(needed)
            if request.method not in SAFE_METHODS:
                act_as(self.actor)
            return handler(request, *args, **kwargs)

    def _tenant_asked_for(self, request: Request) -> int:
        """The user's own tenant; platform staff may name another by `X-Tenant-ID`."""
        own: int = request.user.tenant_id
        asked = request.headers.get("X-Tenant-ID", "").strip()
        if not asked or asked == str(own):
            return own
        if not request.user.is_platform_staff:
            raise Forbidden("X-Tenant-ID does not name your tenant.")
        tenant = Tenant.objects.filter(pk=parse_id(asked, field="X-Tenant-ID")).first()
        if tenant is None:
            raise NotFound("No such tenant.")
        return tenant.pk


class OpenApiView(ApiView):
    """Base of views for callers who are not signed in: sign-in itself, webhooks. Limited by address, no scope is opened."""

    authentication_classes: ClassVar[list[type]] = []
    rate_kind = "sign_in"

    def check_in(self, request: Request) -> None:
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request, force=True)
        kind = self.rate_kind

        spend([Limit(key=f"ip:{client_ip(request)}:m:{kind}", calls=settings.RATE_LIMITS_PER_MINUTE[kind], seconds=60)])

    def run(self, handler: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        return handler(request, *args, **kwargs)


def client_ip(request: Any) -> str:
    """The caller's address: the peer's, or what the last of TRUSTED_PROXIES proxies saw."""

    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    proxies = settings.TRUSTED_PROXIES
    if proxies and len(forwarded) >= proxies:
        return forwarded[-proxies]
    return request.META.get("REMOTE_ADDR", "") or "unknown"


def parse_id(text: str, *, field: str = "id") -> int:
    """Read a numeric id. Not a number: 400; a number no row can have: 404."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput({field: ["Must be a number."]})
    if len(digits) > 18:
        raise NotFound("Not found.")
    return int(digits)
