"""An agent's queue: who waits, since when and why, who is done; leads added, imported, called at once or taken out."""

import base64
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
from django import forms
from django.contrib import messages
from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from activities.pages.composer import Moment
from crm.errors import InvalidInput
from crm.listing import RowCompare
from crm.normal import e164
from crm.tenancy.models import current_tenant
from crm.web.pages import FormPage, Page, safe_next
from dialer.enums import EntryStatus
from dialer.errors import InvalidPhone, NoSuchAgent, NoSuchEntry
from dialer.models import CallingAgent, QueueEntry
from dialer.pages.shown import entry_row, hours_now, known_leads, tabs_of
from dialer.permissions import MANAGE
from dialer.selectors.desk import MOST_COUNTED, QueueNumbers, queue_numbers
from dialer.selectors.queues import EntriesAsked, agents_visible_to, entries_page, entries_visible_to
from dialer.services.entries import delete_entry, queue_lead, schedule_now
from dialer.services.imports import start_import
from dialer.services.limits import why_not

ROWS = 50
_WHICH = (("waiting", _("Waiting")), ("done", _("Done")), ("all", _("All")))


def agent_or_404(public_id: UUID, *, by: Any) -> CallingAgent:
    agent: CallingAgent | None = agents_visible_to(by).filter(public_id=public_id).first()
    if agent is None:
        raise NoSuchAgent
    return agent


class QueuePage(Page):
    """Fifty at a time in the order of dialling; of those that are done the latest first."""

    template = "dialer/queue.html"

    def get(self, request: HttpRequest, agent: UUID) -> HttpResponseBase:
        chosen, now = agent_or_404(agent, by=self.actor), timezone.now()
        which = request.GET.get("which", "waiting")
        which = which if which in dict(_WHICH) else "waiting"
        search, cursor = request.GET.get("search", "").strip()[:200], request.GET.get("cursor", "")
        if search:
            found, next_cursor = self._searched(chosen, search, cursor)
        else:
            entries = entries_visible_to(self.actor).filter(agent=chosen).select_related("agent", "lead").defer("search")
            found, next_cursor = _page(entries, which, cursor)
        why = why_not(entries=found, now=now, user_id=self.actor.user_id)
        known = known_leads(self.actor, entries=found)
        more = {"which": which, **({"search": search} if search else {}), "cursor": next_cursor}
        rows = {
            "rows": [entry_row(entry, why[entry.pk], known) for entry in found],
            "more_url": f"?{urlencode(more)}" if next_cursor else "",
            "agent": chosen,
            "can_manage": self.actor.can(MANAGE),
            "here": f"?{urlencode({'which': which, **({'search': search} if search else {})})}",
        }
        if request.htmx and cursor:  # type: ignore[attr-defined]
            return self.show({**rows, "rows_only": True}, part="rows")
        return self.show(
            {
                **rows,
                "which": which,
                "search": search,
                "numbers": queue_numbers([chosen], now).get(chosen.pk, QueueNumbers()),
                "most": MOST_COUNTED,
                "hours": hours_now(chosen, now),
                "views": [
                    {
                        "label": label,
                        "url": f"?{urlencode({'which': code, **({'search': search} if search else {})})}",
                        "active": code == which,
                    }
                    for code, label in _WHICH
                ],
                "tabs": tabs_of(self.actor, "home"),
            }
        )

    def _searched(self, agent: CallingAgent, search: str, cursor: str) -> tuple[list[QueueEntry], str]:
        """Who is named so, or has this number, waiting or done: the newest first."""
        number = _read(cursor)["id"] if cursor else 1
        asked = EntriesAsked(agent=agent, search=search)
        found, total = entries_page(actor=self.actor, asked=asked, page=number, per_page=ROWS)
        prefetch_related_objects(found, "lead")
        return found, _cursor(id=number + 1) if number * ROWS < total else ""


def _page(entries: "QuerySet[QueueEntry]", which: str, cursor: str) -> tuple[list[QueueEntry], str]:
    """A page and the cursor of the next. Who is to be called at once stands before all others, on the first page."""
    if which != "waiting":
        entries = entries.filter(status=EntryStatus.DONE) if which == "done" else entries
        if cursor:
            entries = entries.filter(pk__lt=_read(cursor)["id"])
        found = list(entries.order_by("-pk")[: ROWS + 1])
        return found[:ROWS], _cursor(id=found[ROWS - 1].pk) if len(found) > ROWS else ""
    waiting = entries.exclude(status=EntryStatus.DONE)
    first = [] if cursor else list(waiting.filter(is_immediate=True).order_by("next_at", "pk")[:ROWS])
    rest = waiting.filter(is_immediate=False)
    if cursor:
        at = _read(cursor)
        rest = rest.filter(RowCompare("next_at", at["at"], at["id"], descending=False, kind=QueueEntry._meta.get_field("next_at")))
    found = list(rest.order_by("next_at", "pk")[: ROWS + 1])
    last = found[ROWS - 1] if len(found) > ROWS else None
    return [*first, *found[:ROWS]], _cursor(at=last.next_at.isoformat(), id=last.pk) if last else ""


def _cursor(**parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _read(cursor: str) -> dict[str, Any]:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return {"id": int(parts["id"]), "at": datetime.fromisoformat(parts["at"]) if "at" in parts else timezone.now()}
    except (ValueError, KeyError, TypeError):
        raise InvalidInput({"cursor": [str(_("This cursor cannot be read."))]}) from None


class AddForm(forms.Form):
    first_name = forms.CharField(label=_("First name"), max_length=120)
    phone = forms.CharField(label=_("Phone"), max_length=40, help_text=_("In any notation; without a country code it is the company's."))
    schedule_at = forms.DateTimeField(label=_("Not before"), required=False, widget=Moment())


class AddPage(FormPage):
    """Put one lead into the queue."""

    template = "dialer/add.html"
    form_class = AddForm
    success_message = _("The lead waits in the queue.")

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "agent": agent_or_404(self.kwargs["agent"], by=self.actor)}

    def save(self, form: forms.Form) -> HttpResponseBase:
        agent, data = agent_or_404(self.kwargs["agent"], by=self.actor), form.cleaned_data
        phone = e164(data["phone"], region=current_tenant().region)
        if phone is None:
            raise InvalidInput({"phone": [InvalidPhone().message]})
        queue_lead(
            agent=agent, first_name=data["first_name"], phone=phone, schedule_at=data["schedule_at"], now=timezone.now(), by=self.actor
        )
        return redirect("dialer:queue", agent.public_id)


class ImportForm(forms.Form):
    file = forms.FileField(label=_("File"))


class ImportPage(FormPage):
    """Put the rows of a file into the queue."""

    template = "dialer/import.html"
    form_class = ImportForm

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "agent": agent_or_404(self.kwargs["agent"], by=self.actor)}

    def save(self, form: forms.Form) -> HttpResponseBase:
        agent = agent_or_404(self.kwargs["agent"], by=self.actor)
        operation = start_import(file=form.cleaned_data["file"], agent=agent, by=self.actor)
        return redirect("operations:operation", operation.pk)


class EntryActPage(Page):
    """Call at once, or take out of the queue."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, entry: UUID, act: str) -> HttpResponseBase:
        found = entries_visible_to(self.actor).select_related("agent").filter(public_id=entry).first()
        if found is None or act not in ("now", "remove"):
            raise NoSuchEntry
        if act == "now":
            schedule_now(entry_id=found.pk, now=timezone.now(), by=self.actor)
            messages.success(request, _("%(name)s is called next.") % {"name": found.first_name})
        else:
            delete_entry(entry_id=found.pk, now=timezone.now(), by=self.actor)
            messages.success(request, _("%(name)s is out of the queue.") % {"name": found.first_name})
        return redirect(safe_next(request, default=reverse("dialer:queue", args=[found.agent.public_id])))
