"""One lead: its page, the peek beside the list, and editing in place."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from audit.selectors import Change, history_of
from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.identity.selectors import active_users
from crm.normal import international
from crm.registry import sections
from crm.web.pages import UNPROCESSABLE, Page, safe_next
from customobjects.models import FieldDefinition
from customobjects.pages.inputs import WIDE, form_field, initial_of, typed_value
from customobjects.selectors import described_values, may_edit, shown, visible_definitions
from leads.api.output import timeline_out
from leads.enums import StatusCategory
from leads.filters import SORTS, LeadList
from leads.models import Lead, LeadStatus
from leads.pages.groups import GROUPINGS, beside_in_groups
from leads.pages.listing import follow_up_choices
from leads.permissions import CHANGE, DELETE, VIEW
from leads.selectors import arrivals_of, next_statuses, vocabulary
from leads.services.bin import delete_lead
from leads.services.drafts import RECORDS
from leads.services.editing import edit_lead, find_lead

LOST_REASONS = (
    ("not_interested", _("Not interested")),
    ("no_budget", _("No budget")),
    ("chose_competitor", _("Chose a competitor")),
    ("bad_timing", _("Not now")),
    ("no_answer", _("No answer")),
)


# The most characters of a list's address that a link to a lead carries.
MOST_QUERY = 8000


class LeadPage(Page):
    """Everything known about a lead, with its neighbours in the list one came from."""

    capability = VIEW
    template = "leads/lead_detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        changes = history_of(lead)
        words = vocabulary().statuses
        show = request.GET.get("show", "")
        return self.show(
            {
                "lead": lead,
                "phone_shown": international(lead.phone),
                "stages": _stages(lead, changes, words),
                "timeline": _timeline(lead, changes, words, kind=show, by=self.actor),
                "show": show,
                "shows": (("", _("Everything")), ("changes", _("Changes")), ("arrivals", _("Arrivals"))),
                "lost_reason": dict(LOST_REASONS).get(lead.lost_reason, lead.lost_reason),
                "aside": [
                    {"template": item.template, "data": item.build(lead, self.actor)} for item in sections.of("leads.Lead") if item.template
                ],
                "details": _details(lead, self.actor),
                "arrival": arrivals_of(lead).first(),
                "lost_reasons": LOST_REASONS,
                "can_change": self.actor.can(CHANGE),
                "can_delete": self.actor.can(DELETE),
                **_neighbours(request, lead, self.actor),
            }
        )


class PeekPage(Page):
    """The drawer beside the list."""

    capability = VIEW
    template = "leads/lead_peek.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        changes = history_of(lead, most=6)
        timeline = _timeline(lead, changes, vocabulary().statuses, kind="", by=self.actor)[:5]
        return self.show({"lead": lead, "phone_shown": international(lead.phone), "timeline": timeline})


def _details(lead: Lead, actor: Actor) -> list[dict[str, Any]]:
    phone = international(lead.phone)
    plain = [
        {"name": "email", "label": _("E-mail"), "value": lead.email},
        {"name": "phone", "label": _("Phone"), "value": phone},
        {"name": "company", "label": _("Company"), "value": lead.company},
        {"name": "title", "label": _("Job title"), "value": lead.title},
        {"name": "industry", "label": _("Industry"), "value": lead.industry},
        {"name": "company_size", "label": _("Company size"), "value": lead.company_size},
        {"name": "website", "label": _("Website"), "value": lead.website},
        {"name": "city", "label": _("City"), "value": lead.city},
        {"name": "state", "label": _("State"), "value": lead.state},
        {"name": "country", "label": _("Country"), "value": lead.country},
        {"name": "lead_source", "label": _("Source"), "value": lead.lead_source},
    ]
    own = [{**item, "edit": reverse("leads:field", args=[lead.pk, item["name"]])} for item in plain]
    return own + [
        {"label": label, "value": text, "edit": reverse("leads:field", args=[lead.pk, item.name]) if item and may_edit(item, actor) else ""}
        for item, label, text in described_values(RECORDS, lead.custom_fields, actor)
    ]


def _stages(lead: Lead, changes: list[Change], words: Iterable[LeadStatus]) -> list[dict[str, Any]]:
    """The stage bar: open statuses in order, with the time spent, then won and lost."""
    spent, current = _time_spent(lead, changes)
    allowed = {status.pk for status in next_statuses(lead.status)}
    stages = []
    passed = lead.status.category == StatusCategory.WON
    for status in words:
        is_current = status.pk == lead.status_id
        before = not is_current and (
            passed
            or (
                status.category == StatusCategory.OPEN
                and status.position < lead.status.position
                and lead.status.category == StatusCategory.OPEN
            )
        )
        closed = f" is-{status.category}" if is_current and status.category != StatusCategory.OPEN else ""
        stages.append(
            {
                "status": status,
                "state": f"is-current{closed}" if is_current else "is-done" if before and status.category == StatusCategory.OPEN else "",
                "is_current": is_current,
                "spent": current if is_current else spent.get(status.label),
                "allowed": status.pk in allowed,
            }
        )
    return stages


def _time_spent(lead: Lead, changes: list[Change]) -> tuple[dict[str, timedelta], timedelta]:
    moves = [(change.at, step.old) for change in reversed(changes) for step in change.fields if step.name == "status"]
    spent: dict[str, timedelta] = {}
    since = lead.created_at
    for at, old in moves:
        spent[old] = spent.get(old, timedelta()) + max(at - since, timedelta())
        since = at
    return spent, max(timezone.now() - lead.status_changed_at, timedelta())


_ICONS = {
    "status_changed": "arrow-right-left",
    "lead_assigned": "user-plus",
    "lead_updated": "history",
    "form_submitted": "globe",
    "lead_created": "sparkles",
    "lead_deleted": "trash-2",
    "lead_restored": "undo-2",
}


def _timeline(lead: Lead, changes: list[Change], words: Iterable[LeadStatus], *, kind: str, by: Actor) -> list[dict[str, Any]]:
    codes = {status.label: status.code for status in words}
    entries = timeline_out(lead, changes, list(arrivals_of(lead)[:50]), datetime.now(UTC), by=by)
    if kind == "changes":
        entries = [entry for entry in entries if entry["category"] != "engagement"]
    elif kind == "arrivals":
        entries = [entry for entry in entries if entry["category"] == "engagement"]
    today = timezone.localdate()
    day = None
    for entry in entries:
        own = timezone.localdate(entry["timestamp"])
        entry["icon"] = _ICONS[entry["activity_type"]]
        for change in entry.get("data", {}).get("changes", ()):
            change["old"], change["new"] = _readable(change["field"], change["old"]), _readable(change["field"], change["new"])
        if entry["activity_type"] == "status_changed":
            step = next(change for change in entry["data"]["changes"] if change["field"] == "status")
            entry["step"] = {**step, "old_code": codes.get(step["old"], ""), "new_code": codes.get(step["new"], "")}
            entry["besides"] = [change for change in entry["data"]["changes"] if change is not step]
        entry["new_day"] = None if own == day else "today" if own == today else "yesterday" if own == today - timedelta(days=1) else own
        day = own
    return entries


def _readable(name: str, value: Any) -> Any:
    """A field's value as the timeline shows it."""
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value), "DATETIME_FORMAT")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    if value and name == "phone":
        return international(str(value))
    return dict(LOST_REASONS).get(value, value) if name == "lost_reason" else value


def _neighbours(request: HttpRequest, lead: Lead, actor: Actor) -> dict[str, Any]:
    """Previous and next in the list whose query the link carried as `from`."""
    if "from" not in request.GET:
        return {"back_url": reverse("leads:list"), "in_list": False}
    pairs = parse_qsl(request.GET["from"][:MOST_QUERY])
    query = dict(pairs)
    sort = query.get("sort", "-created_at")
    name, descending = sort.lstrip("-"), sort.startswith("-")
    back = f"{reverse('leads:list')}?{urlencode(pairs)}" if pairs else reverse("leads:list")
    if name not in SORTS:
        name, descending = "created_at", True
    group = query.get("group", "")

    def beside(*, backwards: bool) -> str:
        if group in GROUPINGS:
            found = beside_in_groups(group, lead, query, sort=name, descending=descending, actor=actor, backwards=backwards)
        else:
            found = LeadList(params=query, actor=actor, sort=name, descending=descending != backwards).listing.beside(lead)
        return f"{reverse('leads:detail', args=[found])}?{urlencode({'from': request.GET['from']})}" if found else ""

    try:
        return {"back_url": back, "in_list": True, "next_url": beside(backwards=False), "previous_url": beside(backwards=True)}
    except InvalidInput:
        return {"back_url": back, "in_list": False}


# --- editing in place ---


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


class MovePage(Page):
    """Move a lead to a status, with the reason where it is lost."""

    capability = CHANGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        data = {"status": request.POST.get("status", "")[:60], "lost_reason": request.POST.get("reason", "")[:100]}
        edited = edit_lead(lead_id=pk, data=data, by=self.actor)
        messages.success(request, _("%(name)s is now %(status)s.") % {"name": edited.lead.display_name, "status": edited.lead.status.label})
        return self.back(request, pk)

    def back(self, request: HttpRequest, pk: int) -> HttpResponse:
        return redirect(safe_next(request, default=reverse("leads:detail", args=[pk])))


class FollowUpPage(MovePage):
    """Done with a follow-up, or put it off. The message offers to take it back, which posts the moments as they were."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        before = find_lead(lead_id=pk, by=self.actor)
        was = {"next_follow_up_at": before.next_follow_up_at, "last_contact_at": before.last_contact_at}
        if "was" in request.GET:
            edited = edit_lead(lead_id=pk, data={name: _moment(request.GET.get(name, "")) for name in was}, by=self.actor)
            messages.info(request, _("%(name)s is back in the queue.") % {"name": edited.lead.display_name})
            return self.back(request, pk)
        step = next(((label, span) for code, label, span in follow_up_choices() if code == request.POST.get("in")), None)
        now = timezone.now()
        data: dict[str, Any] = {"next_follow_up_at": now + step[1]} if step else {"next_follow_up_at": None, "last_contact_at": now}
        edited = edit_lead(lead_id=pk, data=data, by=self.actor)
        text = (
            _("%(name)s put off: %(when)s.") if step
            else _("%(name)s noted as contacted.") if request.POST.get("in") == "contacted"
            else _("Follow-up with %(name)s done.")
        )  # fmt: skip
        moments = {name: at.isoformat() for name, at in was.items() if at}
        undo = f"{reverse('leads:follow-up', args=[pk])}?{urlencode({'was': 1, 'next': '/', **moments})}"
        messages.success(request, text % {"name": edited.lead.display_name, "when": step[0].lower() if step else ""}, extra_tags=undo)
        return self.back(request, pk)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


class DeletePage(Page):
    """Put a lead into the bin; the message offers to take it back."""

    capability = DELETE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        delete_lead(lead_id=pk, by=self.actor)
        messages.success(
            request, _("%(name)s is in the bin.") % {"name": lead.display_name}, extra_tags=reverse("leads:restore", args=[pk])
        )
        return redirect("leads:list")
