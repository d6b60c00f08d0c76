"""Add a lead, edit all of its fields, the bin."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidInput
from crm.filters import split_words
from crm.identity.selectors import active_users
from crm.web.pages import FormPage, Page
from customobjects.pages.inputs import form_field, initial_of, typed_value
from customobjects.selectors import may_edit, visible_definitions
from customobjects.services.kinds import is_empty
from leads.enums import COMPANY_SIZES, KNOWN_SOURCES, Platform, Priority
from leads.errors import DuplicateLead
from leads.models import Lead
from leads.permissions import ADD, ASSIGN, CHANGE, DELETE
from leads.services.bin import binned_leads, restore_lead
from leads.services.drafts import RECORDS, LeadDraft
from leads.services.editing import edit_lead, find_lead
from leads.services.intake import capture_lead

MOST_IN_BIN = 200


class LeadForm(forms.Form):
    """A lead's own fields."""

    first_name = forms.CharField(label=_("First name"), max_length=100, required=False)
    last_name = forms.CharField(label=_("Last name"), max_length=100, required=False)
    email = forms.CharField(label=_("E-mail"), max_length=254, required=False, widget=forms.EmailInput)
    phone = forms.CharField(label=_("Phone"), max_length=60, required=False, help_text=_("Any notation; stored with its country code."))
    company = forms.CharField(label=_("Company"), max_length=200, required=False)
    title = forms.CharField(label=_("Job title"), max_length=150, required=False)
    industry = forms.CharField(label=_("Industry"), max_length=100, required=False)
    company_size = forms.ChoiceField(
        label=_("Company size"), required=False, choices=[("", "—"), *((size, size) for size in COMPANY_SIZES)]
    )
    website = forms.CharField(label=_("Website"), max_length=300, required=False)
    lead_source = forms.CharField(label=_("Source"), max_length=60, required=False, help_text=", ".join(KNOWN_SOURCES[:5]))
    priority = forms.TypedChoiceField(label=_("Priority"), choices=Priority.choices, coerce=int, initial=Priority.MEDIUM)
    owner = forms.ChoiceField(label=_("Owner"), required=False)
    city = forms.CharField(label=_("City"), max_length=100, required=False)
    state = forms.CharField(label=_("State"), max_length=100, required=False)
    country = forms.CharField(label=_("Country"), max_length=100, required=False)
    tags = forms.CharField(label=_("Tags"), max_length=1000, required=False, help_text=_("Separated by commas."))
    notes = forms.CharField(label=_("Notes"), max_length=50_000, required=False, widget=forms.Textarea(attrs={"rows": 4}))

    def __init__(self, *args: Any, actor: Any, values: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = [item for item in visible_definitions(RECORDS, actor) if item.in_forms and may_edit(item, actor)]
        self.present = dict(values) if values is not None else {item.key: item.default for item in self.own if item.default is not None}
        for item in self.own:
            present = self.present.get(item.key)
            # What a lead lacks already is not asked for when something else is changed.
            must = item.required and (values is None or not is_empty(present))
            self.fields[item.name] = form_field(item, present, required=must)
            self.initial[item.name] = initial_of(item, present)
        users = active_users() if actor.can(ASSIGN) else active_users().filter(pk=actor.user_id)
        people = [(str(user.pk), user.full_name) for user in users]
        present = self.initial.get("owner")
        if present and present not in dict(people):
            people.append((present, self.initial.get("owner_name", present)))
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ChoiceField)
        owner.choices = [("", _("Nobody")), *people]
        size = self.initial.get("company_size")
        field = self.fields["company_size"]
        assert isinstance(field, forms.ChoiceField)
        if size and size not in COMPANY_SIZES:
            field.choices = [*field.choices, (size, size)]

    def values(self) -> dict[str, Any]:
        """The cleaned fields under the services' names."""
        data = dict(self.cleaned_data)
        data["owner_id"] = int(owner) if (owner := data.pop("owner")) else None
        data["tags"] = split_words(data["tags"])
        typed = {item: data.pop(item.name) for item in self.own}
        data["custom_fields"] = {item.key: typed_value(item, value, self.present.get(item.key)) for item, value in typed.items()}
        return data

    def custom_fields(self) -> list[forms.BoundField]:
        return [self[item.name] for item in self.own]

    @contextmanager
    def refusals_at_fields(self) -> Iterator[None]:
        """Let a service's refusal of a custom field stand at its input."""
        names = {item.problem_name: item.name for item in self.own}
        try:
            yield
        except InvalidInput as refusal:
            raise InvalidInput({names.get(name, name): texts for name, texts in refusal.problems.items()}) from None


class NewLeadPage(FormPage):
    """Add a lead by hand. A duplicate is shown, and may be added all the same."""

    capability = ADD
    form_class = LeadForm
    template = "leads/lead_form.html"

    def form_arguments(self) -> dict[str, Any]:
        return {"actor": self.actor, "initial": {"owner": str(self.actor.user_id or "")}}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, LeadForm)
        draft = LeadDraft(platform_key=Platform.MANUAL, **form.values())
        try:
            with form.refusals_at_fields():
                captured = capture_lead(draft=draft, ignore_duplicates="ignore_duplicates" in self.request.POST, by=self.actor)
        except DuplicateLead as refusal:
            self.duplicates = refusal.details["candidates"]
            raise
        messages.success(self.request, _("%(name)s added.") % {"name": captured.lead.display_name})
        for warning in captured.warnings:
            messages.warning(self.request, warning)
        return redirect("leads:detail", captured.lead.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "duplicates": getattr(self, "duplicates", []), "lead": None}


class EditLeadPage(FormPage):
    """All fields of a lead at once."""

    capability = CHANGE
    form_class = LeadForm
    template = "leads/lead_form.html"
    success_message = _("Saved.")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.lead_id: int = kwargs["pk"]
        return super().dispatch(request, *args, **kwargs)

    def form_arguments(self) -> dict[str, Any]:
        self.lead: Lead = find_lead(lead_id=self.lead_id, by=self.actor)
        same = (
            "first_name",
            "last_name",
            "email",
            "phone",
            "company",
            "title",
            "industry",
            "company_size",
            "website",
            "lead_source",
            "priority",
        )
        initial = {name: getattr(self.lead, name) for name in (*same, "city", "state", "country", "notes")}
        owner = {"owner": str(self.lead.owner_id or ""), "owner_name": str(self.lead.owner or "")}
        return {
            "actor": self.actor,
            "values": self.lead.custom_fields,
            "initial": {**initial, **owner, "tags": ", ".join(self.lead.tags)},
        }

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, LeadForm)
        with form.refusals_at_fields():
            edit_lead(lead_id=self.lead.pk, data=form.values(), by=self.actor)
        return redirect("leads:detail", self.lead.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "lead": self.lead}


class BinPage(Page):
    """Deleted leads of the last 30 days."""

    capability = DELETE
    template = "leads/lead_bin.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.show(
            {"leads": binned_leads(self.actor).select_related("status", "owner").defer("search")[:MOST_IN_BIN], "most": MOST_IN_BIN}
        )


class RestorePage(Page):
    """Take a lead out of the bin."""

    capability = DELETE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = restore_lead(lead_id=pk, by=self.actor)
        messages.success(request, _("%(name)s is back.") % {"name": lead.display_name})
        return redirect("leads:detail", pk)
