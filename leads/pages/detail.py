"""One lead: its page, the peek beside the list, and editing in place."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.normal import international
from crm.registry import sections
from crm.timeline import page_of
from crm.web.pages import Page, safe_next
from customobjects.selectors import described_values, may_edit
from leads.enums import StatusCategory
from leads.filters import SORTS, LeadList
from leads.models import Lead, LeadStatus
from leads.pages.groups import GROUPINGS, beside_in_groups
from leads.pages.listing import follow_up_choices
from leads.pages.timeline import LOST_REASONS, drawn, timeline_of
from leads.permissions import CHANGE, DELETE, VIEW
from leads.selectors import newest_arrival, next_statuses, statuses_before, vocabulary
from leads.services.bin import delete_lead
from leads.services.drafts import RECORDS
from leads.services.editing import edit_lead, find_lead

# The most characters of a list's address that a link to a lead carries.
MOST_QUERY = 8000
_SALT = "leads.follow-up"
_UNDO_FOR = timedelta(days=1)


class LeadPage(Page):
    """Everything known about a lead, with its neighbours in the list one came from."""

    capability = VIEW
    template = "leads/lead_detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        words = vocabulary().statuses
        # First, since it knows of a short story all that the parts after it ask for.
        story = timeline_of(request, lead, by=self.actor)
        return self.show(
            {
                "lead": lead,
                "phone_shown": international(lead.phone),
                "stages": _stages(lead, words),
                **story,
                "lost_reason": dict(LOST_REASONS).get(lead.lost_reason, lead.lost_reason),
                "places": _places(lead, self.actor),
                "details": _details(lead, self.actor),
                "arrival": newest_arrival(lead),
                "lost_reasons": LOST_REASONS,
                "can_change": self.actor.can(CHANGE),
                "can_delete": self.actor.can(DELETE),
                **_neighbours(request, lead, self.actor),
            }
        )


def _places(lead: Lead, actor: Actor) -> dict[str, list[dict[str, Any]]]:
    """What other apps show of a lead, by the place where it stands."""
    places: dict[str, list[dict[str, Any]]] = {}
    for item in sections.of("leads.Lead"):
        if item.template:
            places.setdefault(item.place, []).append({"template": item.template, "data": item.build(lead, actor)})
    return places


class PeekPage(Page):
    """The drawer beside the list."""

    capability = VIEW
    template = "leads/lead_peek.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        timeline = drawn(page_of("leads.Lead", lead, reader=self.actor, most=5).entries, lead)
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


def _stages(lead: Lead, words: Iterable[LeadStatus]) -> list[dict[str, Any]]:
    """The stage bar: open statuses in order, with the time spent, then won and lost."""
    spent, current = _time_spent(lead)
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
                "spent": current if is_current else spent.get(status.pk),
                "allowed": status.pk in allowed,
            }
        )
    return stages


def _time_spent(lead: Lead) -> tuple[dict[int, timedelta], timedelta]:
    """How long a lead was in each status before, by its history, and how long it is in the one it has."""
    spent: dict[int, timedelta] = {}
    since = lead.created_at
    rows = statuses_before(lead)
    # A row of history holds what was before its moment; what it came to is in the row after it, or in the lead.
    following = [*(status_id for status_id, _at in rows[1:]), lead.status_id]
    for (old, at), new in zip(rows, following, strict=False):
        if old != new:
            spent[old] = spent.get(old, timedelta()) + max(at - since, timedelta())
            since = at
    return spent, max(timezone.now() - lead.status_changed_at, timedelta())


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


class FollowUpPage(Page):
    """Done with a follow-up, or put it off. The message offers to take it back, which posts the moments as they were."""

    capability = CHANGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        before = find_lead(lead_id=pk, by=self.actor)
        was = {"next_follow_up_at": before.next_follow_up_at, "last_contact_at": before.last_contact_at}
        if "was" in request.GET:
            edited = edit_lead(lead_id=pk, data=_unsealed(request.GET["was"], pk), by=self.actor)
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
        moments = {name: at.isoformat() if at else None for name, at in was.items()}
        sealed = signing.dumps([pk, moments], salt=_SALT)
        undo = f"{reverse('leads:follow-up', args=[pk])}?{urlencode({'was': sealed, 'next': '/'})}"
        messages.success(request, text % {"name": edited.lead.display_name, "when": step[0].lower() if step else ""}, extra_tags=undo)
        return self.back(request, pk)

    def back(self, request: HttpRequest, pk: int) -> HttpResponse:
        return redirect(safe_next(request, default=reverse("leads:detail", args=[pk])))


def _unsealed(text: str, lead_id: int) -> dict[str, datetime | None]:
    """A lead's moments as this page signed them, to be taken back for a day."""
    try:
        found, moments = signing.loads(text, salt=_SALT, max_age=_UNDO_FOR)
    except signing.BadSignature:
        found, moments = None, {}
    if found != lead_id:
        raise InvalidInput({"was": [str(_("This can no longer be taken back."))]})
    return {name: datetime.fromisoformat(at) if at else None for name, at in moments.items()}


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
