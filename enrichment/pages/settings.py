"""Settings: the services that are asked about leads."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from enrichment.enums import LEAD_FIELDS, OWN_FIELDS
from enrichment.models import ProviderSettings
from enrichment.permissions import CONFIGURE
from enrichment.selectors import find_provider
from enrichment.services import http_provider
from enrichment.services.providers import FACTS, kind_named
from enrichment.services.settings import Trial, Wanted, delete_provider, save_provider, try_provider


class ProviderForm(forms.Form):
    """What every provider is set to."""

    is_active = forms.BooleanField(label=gettext_lazy("In use"), required=False, initial=True)
    on_capture = forms.BooleanField(
        label=gettext_lazy("Ask about every new lead"),
        required=False,
        help_text=gettext_lazy("But for those of an import, unless it says so."),
    )

    def wanted(self) -> Wanted:
        data = self.cleaned_data
        return Wanted(name="", is_active=data["is_active"], on_capture=data["on_capture"])


class HttpForm(ProviderForm):
    """A service that is asked over HTTP."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    method = forms.ChoiceField(label=gettext_lazy("Method"), choices=[(name, name) for name in http_provider.METHODS])
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=2000,
        help_text=gettext_lazy("With facts in braces, such as https://api.example.com/people?email={email}"),
    )
    body = forms.CharField(
        label=gettext_lazy("Body"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=gettext_lazy('JSON, for POST. Facts in braces are put into its texts: {"domain": "{domain}"}'),
    )
    headers = forms.CharField(
        label=gettext_lazy("Headers"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy(
            "One a line, such as Authorization: Bearer abc. Kept sealed and never shown again; empty keeps the present ones."
        ),
    )
    forget_headers = forms.BooleanField(label=gettext_lazy("Forget the headers that are kept"), required=False)
    rules = forms.CharField(
        label=gettext_lazy("What stands where"),
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=gettext_lazy("One a line: path in the answer, field, and how sure from 0 to 1, as in company.industry -> industry 0.9"),
    )
    timeout = forms.FloatField(label=gettext_lazy("Seconds to answer"), min_value=0.1, max_value=30)
    per_minute = forms.IntegerField(
        label=gettext_lazy("Calls a minute"), min_value=0, max_value=10_000, help_text=gettext_lazy("0 for no limit.")
    )
    cache_hours = forms.FloatField(label=gettext_lazy("Hours an answer is kept"), min_value=0, max_value=8760)

    def wanted(self) -> Wanted:
        data = self.cleaned_data
        headers = "" if data["forget_headers"] and not data["headers"] else data["headers"] or None
        options = {name: data[name] for name in http_provider.DEFAULTS}
        return Wanted(name=data["name"], is_active=data["is_active"], on_capture=data["on_capture"], options=options, headers=headers)


class ProvidersPage(SettingsFrame):
    """All providers, in the order in which they are asked."""

    capability = CONFIGURE
    template = "enrichment/providers.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = [{"provider": provider, "kind": kind_named(provider.kind)} for provider in ProviderSettings.objects.all()]
        return self.show({"rows": rows})


class ProviderPage(SettingsFormPage):
    """One provider, or a new one: its settings, and trying it out on a lead."""

    capability = CONFIGURE
    template = "enrichment/provider.html"
    success_message = gettext_lazy("Saved.")
    provider: ProviderSettings | None = None

    def form(self, *data: Any) -> forms.Form:
        self.provider = find_provider(self.kwargs["pk"]) if "pk" in self.kwargs else None
        if self.provider is not None and self.provider.kind != http_provider.CODE:
            return ProviderForm(*data, initial={"is_active": self.provider.is_active, "on_capture": self.provider.on_capture})
        return HttpForm(*data, initial=self.initial())

    def initial(self) -> dict[str, Any]:
        options = {**http_provider.DEFAULTS, **(self.provider.options if self.provider else {})}
        own = (
            {"name": self.provider.name, "is_active": self.provider.is_active, "on_capture": self.provider.on_capture}
            if self.provider
            else {}
        )
        return {**options, "rules": http_provider.lines_of(options["rules"]), **own}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, ProviderForm)
        saved = save_provider(provider=self.provider, wanted=form.wanted(), by=self.actor)
        return redirect("enrichment:provider", saved.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        kind = kind_named(self.provider.kind if self.provider else http_provider.CODE)
        fields = [*LEAD_FIELDS, *OWN_FIELDS]
        return {"form": form, "provider": self.provider, "kind": kind, "facts": FACTS, "fields": fields, **self.trial()}

    def trial(self) -> dict[str, Any]:
        """What it answers about the lead that `try` names. Asking costs a call, so it is posted."""
        return {}


class ProviderActionPage(ProviderPage):
    """Try a provider on one lead, or delete it."""

    http_method_names: ClassVar[list[str]] = ["post"]
    begun: Trial | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A trial is prepared in one transaction and shown in another. The provider is asked between them."""
        answer = super().dispatch(request, *args, **kwargs)
        if self.begun is None:
            return answer
        self.begun.ask()
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        provider = find_provider(self.kwargs["pk"])
        text = self.lead_asked_for()
        if self.begun is None and request.POST.get("action") != "delete" and text.isascii() and text.isdigit() and len(text) <= 18:
            self.begun = try_provider(provider=provider, lead_id=int(text), by=self.actor)
            return HttpResponse(status=204)
        if request.POST.get("action") == "delete":
            delete_provider(provider=provider, by=self.actor)
            messages.success(request, _("%(name)s is asked no more. What it found stays.") % {"name": provider.name})
            return redirect("enrichment:providers")
        return self.show(self.context(self.form()))

    def lead_asked_for(self) -> str:
        """What was typed: a lead's number, or the end of its page's address."""
        return self.request.POST.get("lead", "").strip().rstrip("/").rpartition("/")[2]

    def trial(self) -> dict[str, Any]:
        trial = self.begun
        if trial is None:
            return {"tried": self.lead_asked_for(), "problem": _("Give the number of a lead, or the address of its page.")}
        found = [{"field": name, "value": found.value, "percent": round(found.confidence * 100)} for name, found in trial.answer.items()]
        return {
            "tried": trial.lead_id,
            "lead_url": reverse("leads:detail", args=[trial.lead_id]),
            "problem": trial.problem,
            "found": found,
            "was_tried": True,
        }
