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
from crm.identity.pages.week import WeekForm
from crm.identity.services.tenants import update_tenant
from crm.tenancy.models import Tenant
from crm.web.settings_pages import SettingsFormPage


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


class TenantForm(WeekForm):
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
        initial: dict[str, Any] = {name: getattr(tenant, name) for name in ("region", "time_zone", "currency", "open_form")}
        initial["display_name"] = str(tenant)
        super().__init__(*args, initial=initial, **kwargs)
        language = to_locale(get_language() or "en")
        self.fields["region"].choices = regions(language)  # type: ignore[attr-defined]
        self.fields["currency"].choices = currencies(language)  # type: ignore[attr-defined]
        zone_names = dict(self.fields["time_zone"].choices)  # type: ignore[attr-defined]
        if tenant.time_zone not in zone_names:
            self.fields["time_zone"].choices = [(tenant.time_zone, tenant.time_zone), *self.fields["time_zone"].choices]  # type: ignore[attr-defined]
        self.add_week(tenant.working_hours or {})


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
