"""Move a lead to a stage that asks for something: a reason, fields that must be filled, the next action."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.errors import NotFound
from crm.web.pages import FormPage
from customobjects.pages.inputs import form_field, typed_value
from customobjects.selectors import visible_definitions
from leads.models import Lead, LeadStatus
from leads.permissions import CHANGE
from leads.selectors import move_between, next_statuses
from leads.services.drafts import RECORDS
from leads.services.editing import find_lead, is_blank
from leads.services.moves import required_names
from pipeline.services.stages import MOST_ACTION, MOST_NOTES, change_status


class StageForm(forms.Form):
    """A note and a next action, and what the move asks for and the lead lacks."""

    notes = forms.CharField(label=_("Notes"), required=False, max_length=MOST_NOTES, widget=forms.Textarea(attrs={"rows": 4}))
    next_action_required = forms.CharField(label=_("Next action"), required=False, max_length=MOST_ACTION)

    def __init__(self, *args: Any, lead: Lead, target: LeadStatus, items: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        move = move_between(lead.status, target)
        self.lead, self.items = lead, items
        self.asked = [name for name in (move.required_fields if move else []) if is_blank(lead, name)]
        names = dict(required_names())
        for name in self.asked:
            if name in items:
                self.fields[name] = form_field(items[name], None)
            elif name in _TEXT:
                self.fields[name] = forms.CharField(label=names.get(name, name), max_length=200)
        if move is not None and move.needs_reason:
            self.fields["notes"].required = True
            self.fields["notes"].label = _("Reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        hidden = [name for name in self.asked if name not in self.fields]
        if hidden:
            names = dict(required_names())
            self.add_error(None, _("Fill this in on the lead first: %s.") % ", ".join(str(names.get(name, name)) for name in hidden))
        return data

    def field_values(self) -> dict[str, Any]:
        """What was filled in, as the service takes it."""
        custom = {
            item.key: typed_value(item, self.cleaned_data[name], None) for name, item in self.items.items() if name in self.cleaned_data
        }
        plain = {name: self.cleaned_data[name] for name in self.asked if name in self.cleaned_data and name not in self.items}
        return {**plain, **({"custom_fields": custom} if custom else {})}


_TEXT = (
    "name",
    "email",
    "phone",
    "company",
    "title",
    "website",
    "industry",
    "company_size",
    "city",
    "state",
    "country",
    "lead_source",
    "notes",
)


class StagePage(FormPage):
    """`to` is the code of an allowed status."""

    capability = CHANGE
    form_class = StageForm
    template = "pipeline/stage.html"

    def form_arguments(self) -> dict[str, Any]:
        self.lead = find_lead(lead_id=self.kwargs["pk"], by=self.actor)
        code = self.request.GET.get("to", "")
        self.target = next((status for status in next_statuses(self.lead.status) if status.code == code), None)
        if self.target is None:
            raise NotFound("The rules do not allow this move.")
        items = {item.name: item for item in visible_definitions(RECORDS, self.actor)}
        return {"lead": self.lead, "target": self.target, "items": items}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "lead": self.lead, "target": self.target}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, StageForm)
        assert self.target is not None
        moved = change_status(
            lead_id=self.lead.pk,
            status=self.target,
            notes=form.cleaned_data["notes"],
            next_action=form.cleaned_data["next_action_required"],
            fields=form.field_values(),
            by=self.actor,
        )
        text = _("%(name)s is now %(status)s.") % {"name": moved.lead.display_name, "status": moved.lead.status.label}
        messages.success(self.request, text)
        return redirect("leads:detail", moved.lead.pk)
