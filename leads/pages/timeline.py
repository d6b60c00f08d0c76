"""A lead's timeline as its page draws it: by day, runs of field changes folded, more on demand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.normal import international
from crm.timeline import Entry, Wanted, page_of, shows_of
from crm.web.pages import Page
from leads.models import Lead
from leads.permissions import VIEW
from leads.selectors import vocabulary
from leads.services.editing import find_lead

LOST_REASONS = (
    ("not_interested", _("Not interested")),
    ("no_budget", _("No budget")),
    ("chose_competitor", _("Chose a competitor")),
    ("bad_timing", _("Not now")),
    ("no_answer", _("No answer")),
)
PAGE_SIZE = 40
# So many changes of fields in a row are drawn as one line that opens.
RUN = 3
_ICONS = {
    "status_changed": "arrow-right-left",
    "lead_assigned": "user-plus",
    "lead_updated": "history",
    "form_submitted": "globe",
    "lead_created": "sparkles",
    "lead_deleted": "trash-2",
    "lead_restored": "undo-2",
}


def timeline_of(request: HttpRequest, lead: Lead, *, by: Actor) -> dict[str, Any]:
    """The timeline's part of the page: what the address asks for, and the address of more."""
    shows = shows_of("leads.Lead")
    show = request.GET.get("show", "")
    kinds = next((kinds for code, _label, kinds in shows if code == show), frozenset())
    show = show if kinds else ""
    cursor = request.GET.get("cursor", "")[:120]
    page = page_of("leads.Lead", lead, reader=by, wanted=Wanted(kinds=kinds), cursor=cursor, most=PAGE_SIZE)
    more = {"cursor": page.next_cursor, **({"show": show} if show else {})}
    return {
        "timeline": drawn(page.entries, lead, after=cursor),
        "show": show,
        "shows": [("", _("Everything")), *((code, label) for code, label, _kinds in shows)],
        "more_url": f"{reverse('leads:timeline', args=[lead.pk])}?{urlencode(more)}" if page.next_cursor else "",
    }


class TimelinePage(Page):
    """The next entries; without scripts a page of them alone."""

    capability = VIEW
    template = "leads/timeline.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        part = "more" if request.htmx else ""  # type: ignore[attr-defined]
        return self.show({"lead": lead, **timeline_of(request, lead, by=self.actor)}, part=part)


def drawn(entries: Sequence[Entry], lead: Lead, *, after: str = "") -> list[dict[str, Any]]:
    """Entries with what their templates show, a heading where a day begins, and runs of field changes as one."""
    codes = {status.label: status.code for status in vocabulary().statuses}
    today = timezone.localdate()
    day = timezone.localdate(datetime.fromisoformat(after.split("~", maxsplit=1)[0].replace(" ", "+"))) if after else None
    rows: list[dict[str, Any]] = []
    for entry in entries:
        own = timezone.localdate(entry.at)
        row = {**_shown(entry, codes), "new_day": None}
        if own != day:
            row["new_day"] = "today" if own == today else "yesterday" if own == today - timedelta(days=1) else own
            day = own
        rows.append(row)
    return _folded(rows)


def _shown(entry: Entry, codes: dict[str, str]) -> dict[str, Any]:
    row = {
        "id": entry.id,
        "kind": entry.kind,
        "at": entry.at,
        "text": entry.text,
        "actor": entry.actor,
        "icon": _ICONS.get(entry.kind, "history"),
        "template": entry.template or "leads/_entry.html",
        "data": entry.data,
    }
    changes = [
        {**change, "old": _readable(change["field"], change["old"]), "new": _readable(change["field"], change["new"])}
        for change in entry.data.get("changes", ())
    ]
    if entry.kind == "status_changed" and (step := next((change for change in changes if change["field"] == "status"), None)):
        row["step"] = {**step, "old_code": codes.get(step["old"], ""), "new_code": codes.get(step["new"], "")}
        row["besides"] = [change for change in changes if change is not step]
    row["changes"] = changes
    return row


def _folded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    run: list[dict[str, Any]] = []

    def end_run() -> None:
        if len(run) >= RUN:
            people = list(dict.fromkeys(row["actor"] for row in run))
            first = run[0]
            kept.append({**first, "kind": "run", "run": list(run), "people": people, "number": sum(len(row["changes"]) for row in run)})
        else:
            kept.extend(run)
        run.clear()

    for row in rows:
        if row["kind"] != "lead_updated" or (row["new_day"] and run):
            end_run()
        if row["kind"] == "lead_updated":
            run.append(row)
        else:
            kept.append(row)
    end_run()
    return kept


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
