"""Move a lead to a status, from its page or from the board, asking for what the move needs."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.web.pages import UNPROCESSABLE, Page, safe_next
from leads.enums import StatusCategory
from leads.errors import RequiredForMove
from leads.models import Lead, LeadStatus
from leads.pages.inline import FieldPage, InlineForm
from leads.pages.timeline import LOST_REASONS
from leads.permissions import CHANGE
from leads.selectors import move_between, vocabulary
from leads.services.editing import edit_lead, find_lead, missing_for_move

REASON, NEXT = "reason", "next_action"
# Fields whose form bears another name than the API.
_FORM_NAMES = {"next_follow_up": "follow_up", "assigned_to": "owner"}


class ReasonForm(forms.Form):
    """Why: one of the usual reasons where a lead is lost, else in one's own words."""

    def __init__(self, *args: Any, target: LeadStatus, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if target.category == StatusCategory.LOST:
            self.fields[REASON] = forms.ChoiceField(label=_("Why?"), choices=LOST_REASONS, widget=forms.RadioSelect)
        else:
            self.fields[REASON] = forms.CharField(label=_("Why?"), max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
            self.fields[NEXT] = forms.CharField(label=_("Next action"), max_length=255, required=False)


class Asked:
    """What a move needs besides: a form of one field for each."""

    def __init__(self, request: HttpRequest, lead: Lead, target: LeadStatus, names: list[str], actor: Actor) -> None:
        data = request.POST if request.POST.get("asked") else None
        self.lead, self.target, self.names = lead, target, names
        self.forms: list[forms.Form] = [
            ReasonForm(data, target=target)
            if name == REASON
            else InlineForm(data, name=_FORM_NAMES.get(name, name), lead=lead, actor=actor)
            for name in names
        ]
        for form in self.forms:
            for name, field in form.fields.items():
                field.required = name != NEXT

    def context(self, back: str) -> dict[str, Any]:
        """What the form shows; `back` is where to go on to."""
        fields = [field for form in self.forms for field in form]
        return {"lead": self.lead, "target": self.target, "fields": fields, "asked": ",".join(self.names), "next": back}

    @property
    def is_answered(self) -> bool:
        return all([form.is_bound and form.is_valid() for form in self.forms])  # noqa: C419 -- each is to show its errors

    def data(self, target: LeadStatus) -> dict[str, Any]:
        """The answers as `edit_lead` takes them."""
        data: dict[str, Any] = {}
        for form in self.forms:
            if isinstance(form, InlineForm):
                given = form.data_for_service()
                data["custom_fields"] = {**data.get("custom_fields", {}), **given.pop("custom_fields", {})}
                data |= given
            else:
                data["lost_reason" if target.category == StatusCategory.LOST else "move_note"] = form.cleaned_data[REASON]
                data["next_action"] = form.cleaned_data.get(NEXT, "")
        return {name: value for name, value in data.items() if value != {}}


class MovePage(Page):
    """Move a lead. What the move asks for and the lead does not hold is asked in a form: a dialog over the board, else a page."""

    capability = CHANGE
    template = "leads/lead_move.html"

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        # The board calls it a column.
        word = (request.POST.get("status") or request.POST.get("column", ""))[:60]
        found = vocabulary().find(word)
        if found is None:
            raise InvalidInput({"status": [f"Unknown status: {word[:40]}."]})
        target, _reason = found
        names = [name for name in request.POST.get("asked", "").split(",") if name]
        if not names and target.category == StatusCategory.LOST and lead.status_id != target.pk and not request.POST.get(REASON):
            return self.ask(lead, target, [REASON])
        asked = Asked(request, lead, target, names, self.actor)
        if names and not asked.is_answered:
            return self.ask(lead, target, names, asked)
        data = {"lost_reason": request.POST.get(REASON, "")[:100], **asked.data(target), "status": target.code}
        try:
            edited = edit_lead(lead_id=pk, data=data, by=self.actor)
        except RequiredForMove as refusal:
            return self.ask(lead, target, list(dict.fromkeys([*names, *refusal.problems])))
        except Forbidden:
            raise
        except DomainError as refusal:
            return self.refuse(refusal, lead, target, names, asked)
        said = _("%(name)s is now %(status)s.") % {"name": edited.lead.display_name, "status": edited.lead.status.label}
        if request.htmx:  # type: ignore[attr-defined]
            return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"toast": {"text": said, "level": "success"}})})
        messages.success(request, said)
        return redirect(safe_next(request, default=reverse("leads:detail", args=[pk])))

    def ask(self, lead: Lead, target: LeadStatus, names: list[str], asked: Asked | None = None) -> HttpResponseBase:
        """The form for what is needed, answered 422 so that nobody takes the move for done."""
        asked = asked or Asked(self.request, lead, target, names, self.actor)
        context = asked.context(safe_next(self.request, default=reverse("leads:detail", args=[lead.pk])))
        part = "dialog" if self.request.htmx else ""  # type: ignore[attr-defined]
        return self.show(context, part=part, status=UNPROCESSABLE)

    def refuse(self, refusal: DomainError, lead: Lead, target: LeadStatus, names: list[str], asked: Asked) -> HttpResponseBase:
        if self.request.htmx:  # type: ignore[attr-defined]
            told = {"toast": {"text": refusal.message, "level": "error"}}
            return HttpResponse(status=refusal.status, headers={"HX-Trigger": json.dumps(told)})
        if names and isinstance(refusal, InvalidInput):
            for form in asked.forms:
                for name in form.fields:
                    for text in refusal.problems.get(name, ()):
                        form.add_error(name, text)
            return self.ask(lead, target, names, asked)
        return self.refused(refusal)


def needed_for(lead: Lead, target: LeadStatus) -> list[str]:
    """What a move asks for that the lead does not hold; of a loss one says why in any case."""
    move = move_between(lead.status, target) if target.pk != lead.status_id else None
    if move is None:
        return []
    names = missing_for_move(lead=lead, move=move, noted=False)
    return list(dict.fromkeys([*names, *([REASON] if target.category == StatusCategory.LOST else [])]))


class StatusFieldPage(FieldPage):
    """The status in place, in a list or on the lead's page. Where the move needs more, a dialog asks for it, or without scripts a page."""

    def get(self, request: HttpRequest, pk: int, name: str = "status") -> HttpResponseBase:
        return super().get(request, pk, name)

    def post(self, request: HttpRequest, pk: int, name: str = "status") -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        found = vocabulary().find(request.POST.get("status", "")[:60])
        names = needed_for(lead, found[0]) if found and self.actor.can(CHANGE) else []
        if found is None or not names:
            return super().post(request, pk, name)
        in_place = bool(request.htmx)  # type: ignore[attr-defined]
        back = (request.htmx.current_url_abs_path if in_place else "") or reverse("leads:detail", args=[pk])  # type: ignore[attr-defined]
        context = {"actor": self.actor, **Asked(request, lead, found[0], names, self.actor).context(back)}
        template = f"{MovePage.template}#dialog" if in_place else MovePage.template
        answer = TemplateResponse(request, template, context, status=UNPROCESSABLE)
        if in_place:
            answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "#move-holder", "innerHTML"
        return answer
