"""The list of leads: views, filters, sorts, columns and their widths, all of it in the address."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from crm.errors import InvalidInput
from crm.listing import Page as Rows
from crm.registry import bulk_actions, visible
from crm.savedviews.selectors import address_of, default_view
from crm.web.pages import Page
from crm.web.templatetags.ui import number
from leads.filters import SORTS, LeadList
from leads.pages.columns import COLUMNS, NAME, SHOWN, Column, columns_for, drawn
from leads.pages.controls import Controls
from leads.pages.groups import GROUPINGS, groups_of
from leads.pages.tabs import LIST, PLACE, tabs
from leads.permissions import ADD, CHANGE, DELETE, EXPORT, IMPORT, VIEW
from leads.selectors import rows_in_order

PAGE_SIZE = 50
# A column may be so wide, in pixels.
NARROWEST, WIDEST = 48, 800
# Parameters that are read from the address as lists, or that only ask for a change of it.
_OWN = ("col", "w", "up", "down")
# Sorts in which the most wanted comes last.
_ASCENDING = {"name", "company", "next_follow_up"}


class LeadCountPage(Page):
    """How many leads a list has, for lists whose total takes longer than their rows."""

    capability = VIEW

    def get(self, request: HttpRequest) -> HttpResponseBase:
        params = {name: request.GET.get(name, "") for name in request.GET}
        total = LeadList(params=params, actor=self.actor).total()
        shown = params.get("shown", "")
        texts = {"shown": number(shown) if shown.isascii() and shown.isdigit() and len(shown) < 12 else "0", "total": number(total)}
        return HttpResponse(_("%(shown)s of %(total)s leads") % texts, content_type="text/plain; charset=utf-8")


class LeadListPage(Page):
    """Leads, fifty at a time, with the exact total. For htmx the next rows alone."""

    capability = VIEW
    template = "leads/lead_list.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if not request.GET and not request.htmx and (view := default_view(self.actor, LIST)):  # type: ignore[attr-defined]
            return redirect(address_of(view))
        params = {name: request.GET.get(name, "") for name in request.GET}
        rows_only = bool(request.htmx and params.get("cursor"))  # type: ignore[attr-defined]
        offered = self._offered(rows_only=rows_only)
        columns = _columns(request.GET.getlist("col"), offered)
        widths = _widths(request.GET.getlist("w"), {NAME, *columns})
        kept = _kept(params, columns, widths)
        if "up" in params or "down" in params:
            moved = _moved(list(columns), params.get("up") or params.get("down", ""), -1 if params.get("up") else 1)
            return redirect(f"{reverse('leads:list')}?{urlencode(_kept(params, moved, widths), doseq=True)}")
        sort, descending = self._sort(params.get("sort", ""))
        leads, problem = self._list(params, sort, descending)
        group = params.get("group", "") if params.get("group") in GROUPINGS and not params.get("cursor") and not problem else ""
        page = self._page(leads, params) if not group else Rows(ids=[], next_cursor=None)
        shown = self._number(params.get("shown", "")) if params.get("cursor") else 0
        more = f"?{urlencode({**kept, 'cursor': page.next_cursor, 'shown': shown + len(page.ids)}, doseq=True)}" if page.next_cursor else ""
        list_query = urlencode(kept, doseq=True)
        may_select = any(self.actor.can(name) for name in (CHANGE, DELETE, EXPORT))
        has_custom = any(column.is_custom for column in columns.values())

        def draw(rows: list[dict[str, Any]]) -> SafeString:
            return drawn(
                rows,
                columns=columns,
                base=f"{reverse('leads:list')}/",
                query=urlencode({"from": list_query}),
                may_edit=self.actor.can(CHANGE),
                may_select=may_select,
                sized=widths,
            )

        rows = rows_in_order(page.ids, custom_fields=has_custom)
        context = {
            "rows": draw(rows),
            **_headings(columns, widths, may_select=may_select),
            "may_select": may_select,
            "more_url": more,
            **(
                self._groups(group, leads, params, kept, draw, has_custom)
                if group
                else self._total(leads, shown + len(rows), is_last=page.next_cursor is None, query=list_query)
            ),
            "sort": sort,
            "descending": descending,
            "list_query": list_query,
            "problem": problem,
            "can_add": self.actor.can(ADD),
        }
        if rows_only:
            return self.show({**context, "rows_only": True}, part="rows")
        return self.show({**context, **self._furniture(params, leads, kept, columns, offered)})

    def _offered(self, *, rows_only: bool) -> dict[str, Column]:
        """The columns there are. Further rows need the definitions of custom fields only where they show one."""
        names_custom = any(code not in COLUMNS for code in self.request.GET.getlist("col"))
        return columns_for(self.actor) if names_custom or not rows_only else COLUMNS

    def _list(self, params: dict[str, str], sort: str, descending: bool) -> tuple[LeadList, str]:
        """The list asked for, or all leads and what is wrong with the address."""
        try:
            return LeadList(params=params, actor=self.actor, sort=sort, descending=descending), ""
        except InvalidInput as refusal:
            return LeadList(params={}, actor=self.actor, sort=sort, descending=descending), refusal.message

    def _page(self, leads: LeadList, params: dict[str, str]) -> Rows:
        """The rows from the cursor on; from the first where it is none of this list's."""
        try:
            return leads.listing.page(limit=PAGE_SIZE, cursor=params.get("cursor") or None)
        except InvalidInput:
            return leads.listing.page(limit=PAGE_SIZE)

    def _groups(
        self,
        code: str,
        leads: LeadList,
        params: dict[str, str],
        kept: dict[str, Any],
        draw: Callable[[list[dict[str, Any]]], SafeString],
        has_custom: bool,
    ) -> dict[str, Any]:
        sort, descending = self._sort(params.get("sort", ""))
        groups, total = groups_of(code, leads, params, sort=sort, descending=descending, actor=self.actor)
        found = {row["id"]: row for row in rows_in_order([pk for group in groups for pk in group["ids"]], custom_fields=has_custom)}
        state = {name: value for name, value in kept.items() if name not in (*PLACE, "group")}
        for group in groups:
            group["rows"] = draw([found[pk] for pk in group["ids"] if pk in found])
            group["url"] = f"?{urlencode({**state, group['filter']: group['word']}, doseq=True)}" if group["word"] else ""
        return {"groups": groups, "shown": len(found), "total": total, "count_url": ""}

    def _total(self, leads: LeadList, shown: int, *, is_last: bool, query: str) -> dict[str, Any]:
        """The exact total where it costs nothing; else the address that answers it once the rows are on the page."""
        if is_last or leads.in_ledger:
            return {"shown": shown, "total": shown if is_last else leads.total(), "count_url": ""}
        return {"shown": shown, "total": "", "count_url": f"{reverse('leads:count')}?{urlencode({'shown': shown})}&{query}"}

    def _furniture(
        self, params: dict[str, str], leads: LeadList, kept: dict[str, Any], columns: dict[str, Column], offered: dict[str, Column]
    ) -> dict[str, Any]:
        controls = Controls(leads.filters, params, self.actor)
        applied, groups = leads.narrowing.applied, controls.menu()

        def without(name: str) -> str:
            return f"?{urlencode({key: value for key, value in kept.items() if key != name}, doseq=True)}"

        return {
            **tabs({name: value for name, value in kept.items() if name not in PLACE}, params.get("view", ""), self.actor),
            "list_url": reverse("leads:list"),
            "board_url": reverse("leads:board"),
            # What list and board have in common.
            "shared_query": urlencode({name: text for name, text in kept.items() if name == "sort" or name in applied}, doseq=True),
            "bulk_actions": visible(bulk_actions.of(LIST), self.actor),
            "field_groups": groups,
            "chips": [{**chip, "remove": without(chip["name"])} for chip in controls.chips(applied)],
            "search": params.get("search", ""),
            "all_columns": [
                {"code": code, "heading": offered[code].heading, "on": code in columns}
                for code in [*columns, *(code for code in offered if code not in columns)]
            ],
            "sorts": [
                {
                    "label": item.label,
                    "query": name if name in _ASCENDING else f"-{name}",
                    "active": name == params.get("sort", "").lstrip("-"),
                }
                for name, item in SORTS.items()
            ],
            "groupings": [(code, item.label) for code, item in GROUPINGS.items()],
            "group": params.get("group", ""),
            "can_import": self.actor.can(IMPORT),
            "can_delete": self.actor.can(DELETE),
            "can_change": self.actor.can(CHANGE),
            "can_export": self.actor.can(EXPORT),
            # What each of the two forms over the list passes on for the other.
            "kept_by_filters": [
                *((name, params.get(name, "")) for name in ("sort", "view", "group")),
                *((name, value) for name in ("col", "w") for value in kept.get(name, ())),
                *controls.besides(applied, groups),
            ],
            "kept_by_columns": [
                *((name, value) for name, value in kept.items() if name not in ("col", "w")),
                *(("w", value) for value in kept.get("w", ())),
            ],
        }

    def _sort(self, text: str) -> tuple[str, bool]:
        name = text.lstrip("-")
        if name not in SORTS:
            return "created_at", True
        return name, text.startswith("-")

    def _number(self, text: str) -> int:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _columns(codes: Iterable[str], offered: dict[str, Column]) -> dict[str, Column]:
    """The columns asked for that there are, in the order asked for."""
    chosen = [code for code in dict.fromkeys(codes) if code in offered] or SHOWN
    return {code: offered[code] for code in chosen}


def _headings(columns: dict[str, Column], widths: dict[str, int], *, may_select: bool) -> dict[str, Any]:
    """The table's head: its columns with their widths, and how wide they may become."""
    return {
        "columns": [
            {"code": code, "heading": column.heading, "sort": column.sort, "width": widths.get(code), "is_numeric": column.is_numeric}
            for code, column in columns.items()
        ],
        "narrowest": NARROWEST,
        "widest": WIDEST,
        "name_width": widths.get(NAME),
        "column_number": len(columns) + 1 + may_select,
    }


def _widths(given: Iterable[str], codes: set[str]) -> dict[str, int]:
    """Widths as the address gives them, `company:220`, of the columns shown."""
    widths = {}
    for text in given:
        code, _colon, size = text.partition(":")
        if code in codes and size.isascii() and size.isdigit() and NARROWEST <= int(size[:9]) <= WIDEST:
            widths[code] = int(size)
    return widths


def _kept(params: dict[str, str], columns: Iterable[str], widths: dict[str, int]) -> dict[str, Any]:
    """The state of the list for its address: without the place in it, and columns only where they are not the usual ones."""
    kept: dict[str, Any] = {name: text for name, text in params.items() if name not in ("cursor", "shown", *_OWN) and text}
    if list(columns) != list(SHOWN):
        kept["col"] = list(columns)
    if widths:
        kept["w"] = [f"{code}:{size}" for code, size in widths.items()]
    return kept


def _moved(codes: list[str], code: str, step: int) -> list[str]:
    """The columns with one a place further."""
    if code in codes:
        place = codes.index(code)
        codes.insert(max(0, place + step), codes.pop(place))
    return codes


def follow_up_choices() -> list[tuple[str, str, timedelta]]:
    """When a follow-up may be put off to."""
    return [("1d", _("Tomorrow"), timedelta(days=1)), ("3d", _("In 3 days"), timedelta(days=3)), ("7d", _("Next week"), timedelta(days=7))]
