"""Settings: web forms with their keys and the snippet to embed."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.errors import NotFound
from crm.filters import split_words
from crm.identity.models import User
from crm.identity.selectors import active_users
from crm.web.pages import Page
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from leads.models import Arrival, WebForm
from leads.permissions import FORMS
from leads.services.forms import (
    FormSettings,
    delete_form,
    rotate_key,
    save_form,
    set_signing,
)


def find_form(pk: int) -> WebForm:
    form = WebForm.objects.select_related("key", "default_owner").filter(pk=pk).first()
    if form is None:
        raise NotFound("No such form.")
    return form


class SourceForm(forms.Form):
    """What a web form is set to."""

    name = forms.CharField(label=_("Name"), max_length=80)
    allowed_origins = forms.CharField(
        label=_("Allowed sites"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One origin a line, such as https://www.example.com. Empty: any site."),
    )
    lead_source = forms.CharField(label=_("Source of its leads"), max_length=60, initial="Website")
    default_owner = forms.ModelChoiceField(
        label=_("Give its leads to"), queryset=User.objects.none(), required=False, empty_label=_("Nobody")
    )
    tags = forms.CharField(label=_("Tags"), max_length=500, required=False, help_text=_("Added to every lead, separated by commas."))
    redirect_url = forms.CharField(
        label=_("Go to afterwards"), max_length=300, required=False, help_text=_("Where a plain form post leads the visitor.")
    )
    hourly_limit = forms.IntegerField(label=_("Most leads an hour"), min_value=1, max_value=1_000_000, initial=1000)
    is_active = forms.BooleanField(label=_("Takes leads"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["default_owner"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = active_users()


class SourcesPage(SettingsFrame):
    """All web forms, with what came in by each lately."""

    capability = FORMS
    template = "leads/sources.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.show(
            {"forms": WebForm.objects.select_related("default_owner", "key"), "arrivals": Arrival.objects.select_related("lead")[:15]}
        )


class SourcePage(SettingsFormPage):
    """One web form: settings, key, snippet, preview."""

    capability = FORMS
    form_class = SourceForm
    template = "leads/source.html"
    success_message = _("Saved.")
    web_form: WebForm | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.pk: int | None = kwargs.get("pk")
        return super().dispatch(request, *args, **kwargs)

    def form_arguments(self) -> dict[str, Any]:
        self.web_form = find_form(self.pk) if self.pk else None
        if self.web_form is None:
            return {}
        same = ("name", "lead_source", "default_owner", "redirect_url", "hourly_limit", "is_active")
        initial = {name: getattr(self.web_form, name) for name in same}
        return {"initial": {**initial, "allowed_origins": "\n".join(self.web_form.allowed_origins), "tags": ", ".join(self.web_form.tags)}}

    def save(self, form: forms.Form) -> HttpResponseBase:
        data = dict(form.cleaned_data)
        data["allowed_origins"] = data["allowed_origins"].split()
        data["tags"] = split_words(data["tags"])
        saved = save_form(form=self.web_form, wanted=FormSettings(**data), by=self.actor)
        return redirect("leads:source", saved.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        found = self.web_form
        endpoint = f"{settings.SITE_URL}/api/webhooks/website"
        return {
            "form": form,
            "web_form": found,
            "endpoint": endpoint,
            "arrivals": Arrival.objects.filter(form_id=str(found.pk)).select_related("lead")[:10] if found else [],
            "secret": self.request.session.pop("form_secret", "") if found else "",
        }


class SourceActionPage(Page):
    """Rotate a key, switch signing, delete a form."""

    capability = FORMS

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        form = find_form(pk)
        action = request.POST.get("action", "")
        if action == "rotate":
            rotate_key(form=form, by=self.actor)
            messages.success(request, _("New key. The old one no longer works."))
        elif action in ("sign", "unsign"):
            secret = set_signing(form=form, on=action == "sign", by=self.actor)
            if secret:
                # Shown once, on the next page, and kept nowhere else.
                request.session["form_secret"] = secret
        elif action == "delete":
            delete_form(form=form, by=self.actor)
            messages.success(request, _("Form deleted."))
            return redirect("leads:sources")
        return redirect("leads:source", pk)
