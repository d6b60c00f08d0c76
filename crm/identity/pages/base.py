"""Pages for visitors: no sign-in, no tenant open; a service's refusal becomes an error of the form."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import View

from crm.errors import DomainError, TooManyRequests
from crm.rest.throttles import Limit, spend
from crm.rest.views import client_ip
from crm.web.pages import UNPROCESSABLE, add_refusal, safe_next

PASSWORD_MOST = 128


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class VisitorPage(View):
    """A form that anybody may send, so many times a minute from one address."""

    template: ClassVar[str] = ""
    form_class: ClassVar[type[forms.Form]]
    # Whether somebody who is signed in is sent on instead.
    only_visitors: ClassVar[bool] = False

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.only_visitors and request.user.is_authenticated:
            return redirect(safe_next(request))
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return self.show(self.form_class(initial=self.initial()))

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        form = self.form_class(request.POST)
        if form.is_valid():
            try:
                spend([Limit(key=f"ip:{client_ip(request)}:m:sign_in", calls=settings.RATE_LIMITS_PER_MINUTE["sign_in"], seconds=60)])
                return self.save(form)
            except TooManyRequests as refusal:
                form.add_error(None, refusal.message)
                return self.show(form, status=429)
            except DomainError as refusal:
                add_refusal(form, refusal)
        return self.show(form, status=UNPROCESSABLE)

    def initial(self) -> dict[str, Any]:
        return {}

    def context(self) -> dict[str, Any]:
        return {}

    def show(self, form: forms.Form, *, status: int = 200) -> HttpResponse:
        context = {
            "form": form,
            "next": self.request.POST.get("next") or self.request.GET.get("next", ""),
            "demo": settings.DEMO,
            **self.context(),
        }
        return TemplateResponse(self.request, self.template, context, status=status)

    def save(self, form: forms.Form) -> HttpResponseBase:
        """Call the service with the cleaned form and answer where to go."""
        raise AssertionError(f"{type(self).__name__} must say what it saves.")


class PasswordInput(forms.PasswordInput):
    """A password field that browsers and their helpers understand."""

    def __init__(self, *, new: bool = False, **attrs: Any) -> None:
        super().__init__(attrs={"autocomplete": "new-password" if new else "current-password", "maxlength": PASSWORD_MOST, **attrs})


def password_field(label: Any, *, new: bool = False, help_text: Any = "") -> forms.CharField:
    # Longer ones would only buy time at the password hasher.
    return forms.CharField(label=label, max_length=PASSWORD_MOST, strip=False, widget=PasswordInput(new=new), help_text=help_text)
