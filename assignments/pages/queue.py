"""The catch-all queue: every open lead that nobody has, with why; and placing what a list has selected."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.pages.shown import names_of, people_in, rule_names, tabs_of, why_nobody
from assignments.permissions import ASSIGN
from assignments.selectors import count_unowned, people_with_leads, taken_away, unowned, waiting_entries
from assignments.services.bulk import Spread, place_selection, start_placing
from assignments.services.giving import assign_lead
from assignments.services.running import active_rules
from crm.errors import InvalidInput
from crm.listing import Listing, Sort
from crm.web.pages import Page, safe_next
from leads.pages.bulk import selection_of
from leads.selectors import name_of, rows_in_order
from leads.services.bulk import Selection
from leads.services.editing import find_lead

PAGE_SIZE = 50
_NEWEST = Sort(name="created_at", column="created_at", label="Created")


class QueuePage(Page):
    """Newest first, by keyset; of a page those of one reason stand together."""

    capability = ASSIGN
    template = "assignments/queue.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        listing, cursor = Listing(branches=[unowned()], sort=_NEWEST), request.GET.get("cursor")
        try:
            page = listing.page(limit=PAGE_SIZE, cursor=cursor or None)
        except InvalidInput:
            cursor, page = None, listing.page(limit=PAGE_SIZE)
        rows = self._rows(page.ids)
        more = f"?{urlencode({'cursor': page.next_cursor})}" if page.next_cursor else ""
        if cursor and request.htmx:  # type: ignore[attr-defined]
            return self.show({"rows": rows, "more_url": more, "rows_only": True, "people": self._people()}, part="rows")
        return self.show(
            {
                "rows": rows,
                "more_url": more,
                "total": count_unowned(),
                "tabs": tabs_of(self.actor, "queue"),
                "has_rules": bool(active_rules()),
                "people": self._people(),
            }
        )

    def _people(self) -> list[tuple[int, str]]:
        return [(person.user.pk, person.user.full_name) for person in people_with_leads()]

    def _rows(self, ids: list[int]) -> list[dict[str, Any]]:
        entries, gone = waiting_entries(ids), taken_away(ids)
        named = {pk for entry in entries.values() for pk in people_in(entry.decision)}
        named |= {pk for row in gone.values() for pk in (row.assigned_by_id, row.previous_user_id) if pk is not None}
        names, rules = names_of(named), rule_names()
        rows = []
        for row in rows_in_order(ids):
            entry, away = entries.get(row["id"]), gone.get(row["id"])
            if away is not None and (entry is None or away.at > entry.since):
                who = names.get(away.assigned_by_id or 0, _("the system"))
                why = _("Taken from %(owner)s by %(who)s") % {"owner": names.get(away.previous_user_id or 0, "?"), "who": who}
                why += f": {away.reason}" if away.reason else "."
            elif entry is not None:
                why = why_nobody(entry.decision, names, rules)
            else:
                why = _("No rule has been asked.")
            rows.append({**row, "name": name_of(row), "why": why, "since": entry.since if entry else None})
        return _by_reason(rows)


def _by_reason(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of one reason together, under the newest of them; the first of each says how many they are."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["why"], []).append(row)
    return [{**row, "heads": len(group) if place == 0 else 0} for group in groups.values() for place, row in enumerate(group)]


class TakePage(Page):
    """Give one lead of the queue to somebody."""

    capability = ASSIGN

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead, text = find_lead(lead_id=pk if pk < 2**63 else 0, by=self.actor), request.POST.get("user", "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            messages.error(request, _("Choose a person."))
            return redirect("assignments:queue")
        given = assign_lead(lead_id=lead.pk, user_id=int(text), by=self.actor)
        messages.success(
            request,
            _("%(lead)s was given to %(name)s.") % {"lead": given.lead.display_name, "name": given.user.full_name if given.user else ""},
        )
        return redirect(safe_next(request, default="/assignments/queue"))


class PlacePage(Page):
    """Let the rules place leads: those selected in a list, or the whole queue."""

    capability = ASSIGN

    def post(self, request: HttpRequest) -> HttpResponseBase:
        if request.POST.get("queue"):
            return self._answer(place_selection(selection=Selection(filters={"assigned_to": "none"}), by=self.actor), "assignments:queue")
        selection = selection_of(request.POST)
        if not selection.ids and selection.filters is None:
            messages.info(request, _("Select some leads first."))
            return redirect("leads:list")
        # As an operation however few they are, so that it can be taken back.
        operation = start_placing(selection=selection, by=self.actor)
        return redirect("operations:operation", id=operation.pk)

    def _answer(self, spread: Spread, target: str) -> HttpResponseBase:
        if spread.operation is not None:
            return redirect("operations:operation", id=spread.operation.pk)
        given, waiting = len(spread.placed.given), len(spread.placed.waiting)
        text = ngettext("%(n)s lead was given.", "%(n)s leads were given.", given) % {"n": given}
        rest = ngettext("Nobody can take %(n)s lead now.", "Nobody can take %(n)s leads now.", waiting) % {"n": waiting} if waiting else ""
        messages.success(self.request, f"{text} {rest}".strip())
        return redirect(target)
