"""Sign in and out, sign up, verify, and reset a password."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.validators import RegexValidator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from crm.errors import DomainError
from crm.identity.enums import SessionKind
from crm.identity.errors import EmailNotVerified
from crm.identity.mailbox import delivered_mails
from crm.identity.middleware import client_of, forget, remember
from crm.identity.models import Invitation
from crm.identity.pages.base import VisitorPage, password_field
from crm.identity.services.invitations import invitation_of_token
from crm.identity.services.passwords import (
    ask_password_reset,
    confirm_password_reset,
    user_of_reset_token,
)
from crm.identity.services.registration import register, resend_code
from crm.identity.services.signin import sign_in, verify_and_sign_in
from crm.web.pages import safe_next

DEMO_SIGN_INS = [(f"{name}@fxcareers.example", label) for name, label in (
    ("admin", _("Admin")), ("manager", _("Manager")), ("rep", _("Sales rep")), ("rep2", _("Another rep")), ("support", _("Support")),
)]  # fmt: skip
DEMO_PASSWORD = "magnet-demo"  # noqa: S105 -- printed by `make run`; the demo accounts exist in demo mode only


class SignInForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"), max_length=100, widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = password_field(_("Password"))


class SignInPage(VisitorPage):
    """Sign in by e-mail and password."""

    template = "identity/sign_in.html"
    form_class = SignInForm
    only_visitors = True

    def context(self) -> dict[str, Any]:
        if not settings.DEMO:
            return {}
        people = [{"email": email, "label": label} for email, label in DEMO_SIGN_INS]
        return {"demo_sign_ins": people, "demo_password": DEMO_PASSWORD}

    def save(self, form: forms.Form) -> HttpResponseBase:
        try:
            session = sign_in(**form.cleaned_data, kind=SessionKind.PAGE, client=client_of(self.request))
        except EmailNotVerified as refusal:
            messages.info(self.request, refusal.message)
            return redirect(f"{reverse('identity:verify')}?{urlencode({'email': form.cleaned_data['email']})}")
        remember(self.request, session)
        return redirect(safe_next(self.request))


class SignOutPage(View):
    """Sign out. A link alone does nothing: only a form sent from our pages does."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("/" if request.user.is_authenticated else "identity:sign-in")

    def post(self, request: HttpRequest) -> HttpResponse:
        forget(request)
        messages.success(request, _("You are signed out."))
        return redirect("identity:sign-in")


# The browser that signed up verifies its own registration, not another of the same address.
REGISTRATION_KEY = "registration_id"


class RegisterForm(forms.Form):
    first_name = forms.CharField(
        label=_("First name"), max_length=50, widget=forms.TextInput(attrs={"autocomplete": "given-name", "autofocus": True})
    )
    last_name = forms.CharField(
        label=_("Last name"), max_length=50, required=False, widget=forms.TextInput(attrs={"autocomplete": "family-name"})
    )
    company = forms.CharField(
        label=_("Company"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
        help_text=_("Names your workspace."),
    )
    email = forms.EmailField(label=_("E-mail"), max_length=100, widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    username = forms.CharField(
        label=_("Username"),
        max_length=50,
        validators=[RegexValidator(r"^[\w.@+-]+\Z", _("Letters, digits and . @ + - _ only, without spaces."))],
        widget=forms.TextInput(attrs={"autocomplete": "username"}),
    )
    phone = forms.CharField(
        label=_("Phone"), max_length=30, required=False, widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"})
    )
    password = password_field(_("Password"), new=True, help_text=_("At least 8 characters, not a common word and not your name."))


class RegisterPage(VisitorPage):
    """Sign up: a new company, whose admin one becomes."""

    template = "identity/register.html"
    form_class = RegisterForm
    only_visitors = True

    def save(self, form: forms.Form) -> HttpResponseBase:
        self.request.session[REGISTRATION_KEY] = register(**form.cleaned_data).pk
        return redirect(f"{reverse('identity:verify')}?{urlencode({'email': form.cleaned_data['email']})}")


class JoinForm(RegisterForm):
    company = None
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=100,
        widget=forms.EmailInput(attrs={"readonly": True}),
        help_text=_("The invitation was sent to this address."),
    )
    invitation_token = forms.CharField(max_length=300, widget=forms.HiddenInput)


class JoinPage(RegisterPage):
    """Sign up by an invitation: one joins its company in its role."""

    template = "identity/join.html"
    form_class = JoinForm
    only_visitors = False
    invitation: Invitation

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.invitation = invitation_of_token(kwargs["token"])
        except DomainError as refusal:
            return TemplateResponse(request, "identity/closed_link.html", {"message": refusal.message}, status=404)
        return super().dispatch(request, *args, **kwargs)

    def initial(self) -> dict[str, Any]:
        return {"email": self.invitation.email, "invitation_token": self.kwargs["token"]}

    def context(self) -> dict[str, Any]:
        return {"invitation": self.invitation, "signed_in": self.request.user.is_authenticated}


class VerifyForm(forms.Form):
    email = forms.EmailField(label=_("E-mail"), max_length=100, widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    code = forms.CharField(
        label=_("Code"),
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "class": "auth-code", "autofocus": True}),
        help_text=_("Six digits. It is valid for 10 minutes."),
    )

    def clean_code(self) -> str:
        return "".join(self.cleaned_data["code"].split())


class VerifyPage(VisitorPage):
    """Enter the mailed code; one is signed in then."""

    template = "identity/verify.html"
    form_class = VerifyForm
    only_visitors = True

    def initial(self) -> dict[str, Any]:
        return {"email": self.request.GET.get("email", "")[:100]}

    def save(self, form: forms.Form) -> HttpResponseBase:
        try:
            session = verify_and_sign_in(
                **form.cleaned_data,
                registration_id=self.request.session.get(REGISTRATION_KEY),
                kind=SessionKind.PAGE,
                client=client_of(self.request),
            )
        except DomainError as refusal:
            refusal.field = "code" if refusal.field == "otp" else refusal.field
            raise
        remember(self.request, session)
        messages.success(self.request, _("Welcome to SalesMagnet."))
        return redirect("/")


class EmailForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"), max_length=100, widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )


class ResendPage(VisitorPage):
    """Mail a fresh code; the answer is the same for any address."""

    template = "identity/resend.html"
    form_class = EmailForm
    only_visitors = True

    def initial(self) -> dict[str, Any]:
        return {"email": self.request.GET.get("email", "")[:100]}

    def save(self, form: forms.Form) -> HttpResponseBase:
        resend_code(**form.cleaned_data, registration_id=self.request.session.get(REGISTRATION_KEY))
        messages.success(self.request, _("If this address is waiting to be verified, a new code is on its way."))
        return redirect(f"{reverse('identity:verify')}?{urlencode(form.cleaned_data)}")


class ForgotPage(VisitorPage):
    """Ask for a mail to set a new password; the answer is the same for any address."""

    template = "identity/forgot.html"
    form_class = EmailForm

    def save(self, form: forms.Form) -> HttpResponseBase:
        ask_password_reset(**form.cleaned_data)
        return TemplateResponse(self.request, "identity/forgot_sent.html", {"email": form.cleaned_data["email"], "demo": settings.DEMO})


class ResetForm(forms.Form):
    password = password_field(_("New password"), new=True, help_text=_("At least 8 characters, not a common word and not your name."))


class ResetPage(VisitorPage):
    """Set a new password by the mailed link."""

    template = "identity/reset.html"
    form_class = ResetForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            user_of_reset_token(kwargs["token"])
        except DomainError as refusal:
            return TemplateResponse(request, "identity/closed_link.html", {"message": refusal.message}, status=404)
        return super().dispatch(request, *args, **kwargs)

    def save(self, form: forms.Form) -> HttpResponseBase:
        confirm_password_reset(token=self.kwargs["token"], **form.cleaned_data)
        messages.success(self.request, _("Your password is set. Please sign in."))
        return redirect("identity:sign-in")


class MailboxPage(View):
    """In the demo, what was mailed: codes and links can be opened from here."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not settings.DEMO:
            raise Http404
        return TemplateResponse(request, "identity/mailbox.html", {"mails": delivered_mails(most=50)})
