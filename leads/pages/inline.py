"""One field of a lead in place, on its page and in the list."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.identity.selectors import active_users
from crm.normal import international
from crm.web.pages import UNPROCESSABLE, Page
from customobjects.models import FieldDefinition
from customobjects.pages.inputs import WIDE, form_field, initial_of, typed_value
from customobjects.selectors import may_edit, shown, visible_definitions
from leads.models import Lead
from leads.permissions import CHANGE, VIEW
from leads.selectors import next_statuses
from leads.services.drafts import RECORDS
from leads.services.editing import edit_lead, find_lead

# Days ahead beyond which a follow-up is a slip of the keyboard.
FARTHEST = 3660


class InlineForm(forms.Form):
    """One field in place. Its kind follows the field's name."""

    def __init__(self, *args: Any, name: str, lead: Lead, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        self.item = (
            next((item for item in visible_definitions(RECORDS, actor) if item.name == name), None) if name.startswith("cf_") else None
        )
        if self.item is None:
            self.fields[name] = _inline_field(name, lead)
            self.initial[name] = _initial(name, lead)
            return
        if not may_edit(self.item, actor):
            raise Forbidden("Your role may not change this field.")
        self.present = lead.custom_fields.get(self.item.key)
        self.fields[name] = form_field(self.item, self.present, in_place=True)
        self.initial[name] = initial_of(self.item, self.present, in_place=True)

    @property
    def is_block(self) -> bool:
        """Whether it takes room of its own, and a button to save it."""
        return self.name == "notes" or (self.item is not None and self.item.kind in WIDE)

    def data_for_service(self) -> dict[str, Any]:
        typed = self.cleaned_data[self.name]
        if self.item is None:
            return _as_data(self.name, typed)
        return {"custom_fields": {self.item.key: typed_value(self.item, typed, self.present)}}

    def clean(self) -> dict[str, Any]:
        """A follow-up put in lies ahead; one that is overdue already may stay."""
        data = super().clean() or {}
        moment = data.get("follow_up")
        if moment and "follow_up" in self.changed_data:
            days = (timezone.localdate(moment) - timezone.localdate()).days
            if days < 0:
                self.add_error("follow_up", _("That day has passed."))
            elif days > FARTHEST:
                self.add_error("follow_up", _("Choose a day within ten years."))
        return data


TEXTS = {"email", "phone", "company", "title", "industry", "company_size", "website", "city", "state", "country", "lead_source", "name"}


def _inline_field(name: str, lead: Lead) -> forms.Field:
    if name == "status":
        words = [lead.status, *next_statuses(lead.status)]
        return forms.ChoiceField(choices=[(status.code, status.label) for status in words], label=_("Status"))
    if name == "owner":
        return forms.ChoiceField(
            choices=[("", _("Nobody")), *((str(user.pk), user.full_name) for user in active_users())], required=False, label=_("Owner")
        )
    if name == "priority":
        return forms.ChoiceField(
            choices=[(str(value), label) for value, label in Lead._meta.get_field("priority").flatchoices], label=_("Priority")
        )
    if name == "follow_up":
        return forms.DateTimeField(
            required=False, label=_("Next follow-up"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        )
    if name == "tags":
        return forms.CharField(required=False, label=_("Tags"), help_text=_("Separated by commas"))
    if name == "notes":
        return forms.CharField(required=False, label=_("Notes"), widget=forms.Textarea(attrs={"rows": 6}))
    if name in TEXTS:
        limit = 200 if name == "name" else 254 if name == "email" else Lead._meta.get_field(name).max_length
        return forms.CharField(required=False, max_length=limit, label=name.replace("_", " ").capitalize())
    raise InvalidInput({name[:40]: ["This field cannot be edited here."]})


def _initial(name: str, lead: Lead) -> Any:
    special = {
        "status": lead.status.code,
        "owner": str(lead.owner_id or ""),
        "priority": str(lead.priority),
        "follow_up": timezone.localtime(lead.next_follow_up_at) if lead.next_follow_up_at else None,
        "tags": ", ".join(lead.tags),
        "name": lead.full_name,
    }
    return special[name] if name in special else getattr(lead, name)


class FieldPage(Page):
    """A field in place: GET answers its form, POST saves it and answers its value. Without scripts POST goes back to the lead."""

    capability = VIEW
    template = "leads/lead_field.html"

    def get(self, request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        form = InlineForm(name=name, lead=lead, actor=self.actor)
        if not self.actor.can(CHANGE):
            raise Forbidden("Your role does not allow this.")
        return self.show({"lead": lead, "form": form, "field": form[name], "name": name}, part="form")

    def post(self, request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        form = InlineForm(request.POST, name=name, lead=lead, actor=self.actor)
        if form.is_valid():
            try:
                edited = edit_lead(lead_id=pk, data=form.data_for_service(), by=self.actor)
            except DomainError as refusal:
                form.add_error(name, refusal.message)
            else:
                if not request.htmx:  # type: ignore[attr-defined]
                    return redirect("leads:detail", pk)
                answer = self.show(_value_context(edited.lead, name, form.item), part="value")
                answer.headers["HX-Trigger"] = "lead-changed"
                return answer
        if not request.htmx:  # type: ignore[attr-defined]
            messages.error(request, next(iter(form.errors.values()))[0])
            return redirect("leads:detail", pk)
        return self.show({"lead": lead, "form": form, "field": form[name], "name": name}, part="form", status=UNPROCESSABLE)


def _value_context(lead: Lead, name: str, item: FieldDefinition | None) -> dict[str, Any]:
    text = shown(item, lead.custom_fields.get(item.key)) if item else getattr(lead, name, "")
    return {"lead": lead, "name": name, "phone_shown": international(lead.phone), "text": text}


def _as_data(name: str, value: Any) -> dict[str, Any]:
    if name == "owner":
        return {"owner_id": int(value) if value else None}
    if name == "priority":
        return {"priority": int(value)}
    if name == "follow_up":
        return {"next_follow_up_at": value}
    if name == "tags":
        return {"tags": [tag for tag in value.split(",") if tag.strip()]}
    return {name: value}
