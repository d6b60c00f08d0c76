"""The base of every page: signed in, inside the tenant's scope, rendered before the scope closes, refusals turned into pages."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.generic import View

from crm.actors import Actor, Door
from crm.errors import DomainError, Forbidden, InvalidInput, NotFound
from crm.tenancy.scope import act_as, tenant_scope

UNPROCESSABLE = 422


class Page(View):
    """A page for somebody signed in. `capability`, where set, is the permission to see it; `template` is rendered by `show()`.

    One transaction a request; an answer of 400 and above rolls it back.
    """

    capability: ClassVar[str] = ""
    template: ClassVar[str] = ""
    actor: Actor
    request: HttpRequest

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return ask_to_sign_in(request)
        try:
            with tenant_scope(request.user.tenant_id, request_id=request.request_id):  # type: ignore[attr-defined]
                self.actor = request.actor = request.load_actor(Door.PAGE)  # type: ignore[attr-defined]
                if request.method not in ("GET", "HEAD"):
                    act_as(self.actor)
                if self.capability:
                    self.actor.require(self.capability)
                response = super().dispatch(request, *args, **kwargs)
                if isinstance(response, TemplateResponse):
                    response.render()
                if response.status_code >= 400:
                    transaction.set_rollback(True)
                return response
        except NotFound as refusal:
            raise Http404(refusal.message) from None
        except Forbidden as refusal:
            raise PermissionDenied(refusal.message) from None
        except DomainError as refusal:
            return self.refused(refusal)

    def refused(self, refusal: DomainError) -> HttpResponseBase:
        """A refusal no form caught: said in a message on the page one came from."""
        messages.error(self.request, refusal.message)
        return redirect(safe_next(self.request, default=self.request.headers.get("Referer", "/")))

    def show(self, context: dict[str, Any] | None = None, *, part: str = "", status: int = 200) -> TemplateResponse:
        """Render the page, or for htmx the named partial of the same template."""
        name = f"{self.template}#{part}" if part else self.template
        return TemplateResponse(self.request, name, {"actor": self.actor, **(context or {})}, status=status)


class FormPage(Page):
    """A page with one form that calls one service. Refusals become errors of the form, answered 422 with the form again."""

    form_class: ClassVar[type[Form]]
    success_message: ClassVar[Any] = ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.show(self.context(self.form()))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form = self.form(request.POST, request.FILES)
        if form.is_valid():
            try:
                with transaction.atomic():
                    answer = self.save(form)
            except Forbidden:
                raise
            except DomainError as refusal:
                add_refusal(form, refusal)
            else:
                if self.success_message:
                    messages.success(request, self.success_message)
                return answer
        return self.show(self.context(form), status=UNPROCESSABLE)

    def form(self, *data: Any) -> Form:
        return self.form_class(*data, **self.form_arguments())

    def form_arguments(self) -> dict[str, Any]:
        return {}

    def context(self, form: Form) -> dict[str, Any]:
        return {"form": form}

    def save(self, form: Form) -> HttpResponseBase:
        """Call the service with the cleaned form and answer where to go."""
        raise AssertionError(f"{type(self).__name__} must say what it saves.")


def add_refusal(form: Form, refusal: DomainError) -> None:
    """Show a service's refusal at the field it names, or above the form."""
    problems = refusal.problems if isinstance(refusal, InvalidInput) else {refusal.field or "": [refusal.message]}
    for name, texts in problems.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, text)


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send to the sign-in page and back afterwards; a fragment's whole page goes there."""
    here = request.get_full_path() if request.method == "GET" else "/"
    target = f"{reverse('identity:sign-in')}?{urlencode({'next': here})}"
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return redirect(target)


def safe_next(request: HttpRequest, *, default: str = "/") -> str:
    """Where to go on to: the `next` parameter or the default, if it is on this site."""
    for target in (request.POST.get("next") or request.GET.get("next") or "", default):
        if target and url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
            return target
    return "/"
