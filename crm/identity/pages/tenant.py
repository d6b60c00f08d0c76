"""The company's settings."""

from functools import cache
from typing import Any

import phonenumbers
from babel import Locale
from babel.numbers import get_currency_name, list_currencies
from django import forms
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext_lazy as _

from crm.errors import Forbidden
from crm.identity.pages.own import time_zones
from crm.identity.services.tenants import update_tenant
from crm.tenancy.models import Tenant
from crm.web.settings_pages import SettingsFormPage

DAYS = [_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday")]


@cache
def regions(language: str) -> list[tuple[str, str]]:
    names = Locale.parse(language).territories
    return sorted(
        ((code, f"{names.get(code, code)} (+{phonenumbers.country_code_for_region(code)})") for code in phonenumbers.SUPPORTED_REGIONS),
        key=lambda item: item[1],
    )


@cache
def currencies(language: str) -> list[tuple[str, str]]:
    return [
        (code, f"{code} · {get_currency_name(code, locale=language)}")
        for code in sorted(list_currencies())
        if get_currency_name(code, locale="en") != code
    ]


class TimeInput(forms.TimeInput):
    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class TenantForm(forms.Form):
    display_name = forms.CharField(label=_("Name"), max_length=150, help_text=_("Shown on every page and in invitations."))
    region = forms.ChoiceField(label=_("Country"), help_text=_("Phone numbers without a country code are read as this country's."))
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=[(name, name.replace("_", " ")) for name in time_zones()])
    currency = forms.ChoiceField(label=_("Currency"))
    open_form = forms.BooleanField(
        label=_("Open web form"),
        required=False,
        help_text=_("Take leads from websites that name this company by its number, without a form key. Form keys are safer."),
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        hours = tenant.working_hours or {}
        initial: dict[str, Any] = {name: getattr(tenant, name) for name in ("region", "time_zone", "currency", "open_form")}
        initial["display_name"] = str(tenant)
        for day in range(7):
            opens, closes = hours.get(str(day), ["09:00", "18:00"])
            initial |= {f"open_{day}": str(day) in hours, f"from_{day}": opens, f"to_{day}": closes}
        super().__init__(*args, initial=initial, **kwargs)
        language = to_locale(get_language() or "en")
        self.fields["region"].choices = regions(language)  # type: ignore[attr-defined]
        self.fields["currency"].choices = currencies(language)  # type: ignore[attr-defined]
        zone_names = dict(self.fields["time_zone"].choices)  # type: ignore[attr-defined]
        if tenant.time_zone not in zone_names:
            self.fields["time_zone"].choices = [(tenant.time_zone, tenant.time_zone), *self.fields["time_zone"].choices]  # type: ignore[attr-defined]
        for day, label in enumerate(DAYS):
            self.fields[f"open_{day}"] = forms.BooleanField(label=label, required=False)
            self.fields[f"from_{day}"] = forms.TimeField(label=_("%s from") % label, required=False, widget=TimeInput())
            self.fields[f"to_{day}"] = forms.TimeField(label=_("%s to") % label, required=False, widget=TimeInput())

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for day, label in enumerate(DAYS):
            opens, closes = data.get(f"from_{day}"), data.get(f"to_{day}")
            if data.get(f"open_{day}") and not (opens and closes and opens < closes):
                self.add_error(f"to_{day}", _("%s: give opening and closing time; closing must come after opening.") % label)
        return data

    def hours(self) -> dict[str, list[str]]:
        data = self.cleaned_data
        return {str(day): [f"{data[f'from_{day}']:%H:%M}", f"{data[f'to_{day}']:%H:%M}"] for day in range(7) if data[f"open_{day}"]}

    def days(self) -> list[dict[str, Any]]:
        """The fields of the week, a row a day."""
        return [
            {"label": label, "open": self[f"open_{day}"], "from": self[f"from_{day}"], "to": self[f"to_{day}"]}
            for day, label in enumerate(DAYS)
        ]


class TenantPage(SettingsFormPage):
    """Name, country, currency, time zone, working hours and the open form."""

    capability = "tenancy.view_tenant"
    template = "identity/tenant.html"
    form_class = TenantForm
    success_message = _("The company's settings are saved.")

    def form_arguments(self) -> dict[str, Any]:
        return {"tenant": Tenant.objects.get(pk=self.actor.tenant_id)}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "can_change": self.actor.can("tenancy.change_tenant"), "tenant_id": self.actor.tenant_id}

    def save(self, form: forms.Form) -> HttpResponseBase:
        if not isinstance(form, TenantForm):
            raise Forbidden("Not this form.")
        names = ("display_name", "region", "time_zone", "currency", "open_form")
        data = {name: form.cleaned_data[name] for name in names} | {"working_hours": form.hours()}
        update_tenant(tenant=Tenant.objects.get(pk=self.actor.tenant_id), data=data, by=self.actor)
        return redirect("identity:tenant")
