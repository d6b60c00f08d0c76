"""One's own settings: profile, password, sessions."""

import re
import zoneinfo
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters

from crm.identity.models import AuthSession, User
from crm.identity.pages.base import password_field
from crm.identity.selectors import members, open_sessions
from crm.identity.services.passwords import change_password
from crm.identity.services.people import update_profile
from crm.identity.services.signin import end_other_sessions, end_session
from crm.web.settings_pages import SettingsFormPage, SettingsFrame


@cache
def time_zones() -> tuple[str, ...]:
    """The zones people name: by place, and UTC."""
    areas = ("Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return ("UTC", *sorted(name for name in zoneinfo.available_timezones() if name.startswith(areas)))


class ProfileForm(forms.Form):
    first_name = forms.CharField(label=_("First name"), max_length=50, widget=forms.TextInput(attrs={"autocomplete": "given-name"}))
    last_name = forms.CharField(
        label=_("Last name"), max_length=50, required=False, widget=forms.TextInput(attrs={"autocomplete": "family-name"})
    )
    phone = forms.CharField(
        label=_("Phone"), max_length=30, required=False, widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"})
    )
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False, help_text=_("Times on all pages are shown in this zone."))
    theme = forms.ChoiceField(
        label=_("Theme"),
        required=False,
        widget=forms.RadioSelect,
        choices=[("", _("As the system")), ("light", _("Light")), ("dark", _("Dark"))],
    )

    def __init__(self, *args: Any, tenant_zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = [
            ("", _("The company's (%s)") % tenant_zone),
            *((name, name.replace("_", " ")) for name in time_zones()),
        ]  # type: ignore[attr-defined]


class PasswordForm(forms.Form):
    current_password = password_field(_("Present password"))
    new_password = password_field(_("New password"), new=True, help_text=_("At least 8 characters, not a common word and not your name."))


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ProfilePage(SettingsFormPage):
    """Name, phone, time zone and theme; the password below."""

    template = "identity/profile.html"
    form_class = ProfileForm
    success_message = _("Your profile is saved.")

    def person(self) -> User:
        return members().get(pk=self.actor.user_id)

    def form(self, *data: Any) -> forms.Form:
        return self.profile_form(self.person(), *data)

    def profile_form(self, user: User, *data: Any) -> ProfileForm:
        names = ("first_name", "last_name", "phone", "time_zone", "theme")
        return ProfileForm(*data, initial={name: getattr(user, name) for name in names}, tenant_zone=self.request.user.tenant.time_zone)  # type: ignore[union-attr]

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "password_form": PasswordForm(), "person": self.person()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        update_profile(user=self.person(), data=form.cleaned_data, by=self.actor)
        return redirect("identity:profile")


class PasswordPage(ProfilePage):
    """The password form of the profile page."""

    form_class = PasswordForm
    success_message = _("Your password is changed. All your other sessions are ended.")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("identity:profile")

    def form(self, *data: Any) -> forms.Form:
        return PasswordForm(*data)

    def context(self, form: forms.Form) -> dict[str, Any]:
        person = self.person()
        return {"form": self.profile_form(person), "password_form": form, "person": person}

    def save(self, form: forms.Form) -> HttpResponseBase:
        change_password(
            user=self.person(),
            current=form.cleaned_data["current_password"],
            new=form.cleaned_data["new_password"],
            keep=self.request.auth_session,  # type: ignore[attr-defined]
        )
        return redirect("identity:profile")


_BROWSERS = [
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
    ("python", "Python"),
]
_SYSTEMS = [("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux")]


def device_name(user_agent: str) -> str:
    """What a person calls the program: "Firefox on Windows"."""
    browser = next((name for mark, name in _BROWSERS if re.search(mark, user_agent, re.IGNORECASE)), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser and system:
        return str(_("%(browser)s on %(system)s")) % {"browser": browser, "system": system}
    return browser or system or user_agent[:60] or str(_("Unknown program"))


class SessionsPage(SettingsFrame):
    """Where one is signed in."""

    template = "identity/sessions.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        current: AuthSession | None = request.auth_session  # type: ignore[attr-defined]
        rows = [
            {"session": session, "device": device_name(session.user_agent), "current": current is not None and session.pk == current.pk}
            for session in open_sessions(request.user)[:100]  # type: ignore[arg-type]
        ]
        rows.sort(key=lambda row: not row["current"])
        return self.show({"rows": rows, "others": any(not row["current"] for row in rows)})


class EndSessionPage(SettingsFrame):
    """End one session."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        end_session(user=request.user, session_id=id)  # type: ignore[arg-type]
        messages.success(request, _("The session is ended."))
        return redirect("identity:sessions")


class EndOthersPage(SettingsFrame):
    """End all sessions but this one."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        ended = end_other_sessions(user=request.user, keep=request.auth_session)  # type: ignore[arg-type, attr-defined]
        messages.success(
            request,
            ngettext("One other session is ended.", "%d other sessions are ended.", ended) % ended
            if ended != 1
            else _("One other session is ended."),
        )
        return redirect("identity:sessions")
