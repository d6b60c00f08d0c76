"""When the company, its teams and its people work, and the days on which nobody does."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.identity.models import Holiday, Team, User
from crm.identity.pages.own import time_zones
from crm.identity.pages.people import found
from crm.identity.pages.week import DAYS, WeekForm
from crm.identity.services.hours import CHANGE, add_holiday, remove_holiday, set_hours
from crm.tenancy.models import current_tenant
from crm.web.settings_pages import SettingsFormPage, SettingsFrame


def in_words(hours: dict[str, Any]) -> str:
    """Hours in a line: days of the same hours together."""
    runs: list[tuple[int, int, str]] = []
    for day in range(7):
        span = hours.get(str(day))
        text = "–".join(span) if span else ""
        if not text:
            continue
        if runs and runs[-1][1] == day - 1 and runs[-1][2] == text:
            runs[-1] = (runs[-1][0], day, text)
        else:
            runs.append((day, day, text))
    short = [str(name)[:3] for name in DAYS]
    return ", ".join(f"{short[first] if first == last else f'{short[first]}–{short[last]}'} {text}" for first, last, text in runs)


class HolidayForm(forms.Form):
    date = forms.DateField(label=_("Day"), widget=forms.DateInput(attrs={"type": "date"}))
    name = forms.CharField(label=_("Name"), max_length=80)
    team = forms.ModelChoiceField(label=_("Of"), queryset=Team.objects.none(), required=False, empty_label=_("Everybody"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = Team.objects.all()  # type: ignore[attr-defined]


class HoursPage(SettingsFormPage):
    """All hours at a glance, and the holidays."""

    capability = "identity.view_team"
    template = "identity/hours.html"
    form_class = HolidayForm
    success_message = _("The holiday is noted.")

    def context(self, form: forms.Form) -> dict[str, Any]:
        tenant = current_tenant()
        usual = in_words(tenant.working_hours) or _("Round the clock")
        teams = [{"item": team, "hours": in_words(team.working_hours)} for team in Team.objects.all()[:200]]
        people = [{"item": user, "hours": in_words(user.working_hours)} for user in User.objects.filter(is_active=True)[:500]]
        return {
            "form": form,
            "tenant": tenant,
            "usual": usual,
            "teams": teams,
            "people": people,
            "holidays": list(Holiday.objects.filter(date__gte=timezone.localdate()).select_related("team")[:200]),
            "can_change": self.actor.can(CHANGE),
        }

    def save(self, form: forms.Form) -> HttpResponseBase:
        data = form.cleaned_data
        add_holiday(day=data["date"], name=data["name"], team=data["team"], by=self.actor)
        return redirect("identity:hours")


class RemoveHolidayPage(SettingsFrame):
    """Take a holiday away."""

    capability = CHANGE
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        remove_holiday(holiday=found(Holiday.objects.all(), id), by=self.actor)
        messages.success(request, _("The holiday is removed."))
        return redirect("identity:hours")


class OwnHoursForm(WeekForm):
    own = forms.BooleanField(label=_("Hours of their own"), required=False, widget=forms.CheckboxInput(attrs={"role": "switch"}))
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    def __init__(self, *args: Any, owner: Team | User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tenant = current_tenant()
        self.initial = {"own": bool(owner.working_hours), "time_zone": owner.time_zone}
        self.fields["time_zone"].choices = [  # type: ignore[attr-defined]
            ("", _("The company's (%s)") % tenant.time_zone),
            *((name, name.replace("_", " ")) for name in time_zones()),
        ]
        self.add_week(owner.working_hours or tenant.working_hours or {})


class OwnHoursPage(SettingsFormPage):
    """The hours of a team or of a person."""

    capability = CHANGE
    template = "identity/own_hours.html"
    form_class = OwnHoursForm
    success_message = _("The hours are saved.")
    model: ClassVar[type[Team] | type[User]]

    def owner(self) -> Team | User:
        owner: Team | User = found(self.model.objects.all(), self.kwargs["id"])
        return owner

    def form_arguments(self) -> dict[str, Any]:
        return {"owner": self.owner()}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "owner": self.owner()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        if isinstance(form, OwnHoursForm):
            hours = form.hours() if form.cleaned_data["own"] else {}
            set_hours(owner=self.owner(), hours=hours, time_zone=form.cleaned_data["time_zone"], by=self.actor)
        return redirect("identity:hours")


class TeamHoursPage(OwnHoursPage):
    model = Team


class UserHoursPage(OwnHoursPage):
    model = User
