"""The list of leads: built-in views, filters, sorts and columns, all of it in the address."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.errors import InvalidInput
from crm.operations.selectors import operations_visible_to
from crm.web.pages import Page
from crm.web.templatetags.ui import number
from leads.filters import SORTS, LeadFilters, LeadList
from leads.pages.columns import COLUMNS, SHOWN, drawn
from leads.permissions import ADD, CHANGE, DELETE, IMPORT, VIEW
from leads.selectors import rows_in_order

PAGE_SIZE = 50
# The filter menu, a row a group.
_IN_MENU: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (gettext_lazy("Sales"), ("status", "assigned_to", "priority", "tags")),
    (gettext_lazy("Score"), ("grade", "score_min", "score_max")),
    (gettext_lazy("Dates"), ("follow_up_before", "created_after", "created_before")),
    (gettext_lazy("Origin and company"), ("lead_source", "platform", "industry", "company_size")),
)
# Filters that come from an operation's page: in no menu, and shown by the operation's title.
_OF_OPERATIONS = ("operation", "changed_by")
# Sorts in which the most wanted comes last.
_ASCENDING = {"name", "company", "next_follow_up"}


def built_in_views() -> list[dict[str, Any]]:
    """The tabs every team has."""
    soon = timezone.localdate().isoformat()
    return [
        {"key": "all", "label": _("All leads"), "icon": "list", "query": {}},
        {"key": "mine", "label": _("Mine"), "icon": "user", "query": {"assigned_to": "me"}},
        {"key": "unassigned", "label": _("Unassigned"), "icon": "user-x", "query": {"assigned_to": "none"}},
        {"key": "new", "label": _("New"), "icon": "sparkles", "query": {"status": "new"}},
        {"key": "due", "label": _("Due"), "icon": "alarm-clock", "query": {"follow_up_before": soon, "sort": "next_follow_up"}},
        {
            "key": "best",
            "label": _("Best open"),
            "icon": "trending-up",
            "query": {"status": "new,qualified,contacted,meeting_scheduled,proposal_sent,negotiation", "sort": "-score"},
        },
    ]


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
        params = {name: request.GET.get(name, "") for name in request.GET}
        sort, descending = self._sort(params.get("sort", ""))
        problem = ""
        try:
            leads = LeadList(params=params, actor=self.actor, sort=sort, descending=descending)
        except InvalidInput as refusal:
            problem = refusal.message
            leads = LeadList(params={}, actor=self.actor, sort=sort, descending=descending)
        try:
            page = leads.listing.page(limit=PAGE_SIZE, cursor=params.get("cursor") or None)
        except InvalidInput:
            page = leads.listing.page(limit=PAGE_SIZE)
        shown = self._number(params.get("shown", "")) if params.get("cursor") else 0
        rows = rows_in_order(page.ids)
        columns = [code for code in COLUMNS if code in request.GET.getlist("col")] or list(SHOWN)
        chosen = columns if columns != list(SHOWN) else []
        kept: dict[str, Any] = {name: text for name, text in params.items() if name not in ("cursor", "shown", "col") and text}
        if chosen:
            kept["col"] = chosen
        more = f"?{urlencode({**kept, 'cursor': page.next_cursor, 'shown': shown + len(rows)}, doseq=True)}" if page.next_cursor else ""
        list_query = urlencode(kept, doseq=True)
        context = {
            "rows": drawn(
                rows,
                codes=columns,
                base=f"{reverse('leads:list')}/",
                query=urlencode({"from": list_query}),
                may_edit=self.actor.can(CHANGE),
            ),
            "columns": [(code, COLUMNS[code].heading, COLUMNS[code].sort) for code in columns],
            "column_codes": columns,
            "more_url": more,
            "shown": shown + len(rows),
            **self._total(leads, shown + len(rows), is_last=page.next_cursor is None, query=list_query),
            "sort": sort,
            "descending": descending,
            "list_query": list_query,
            "problem": problem,
            "can_add": self.actor.can(ADD),
        }
        if request.htmx and params.get("cursor"):  # type: ignore[attr-defined]
            return self.show({**context, "rows_only": True}, part="rows")
        return self.show({**context, **self._furniture(params, leads, kept)})

    def _total(self, leads: LeadList, shown: int, *, is_last: bool, query: str) -> dict[str, Any]:
        """The exact total where it costs nothing; else the address that answers it once the rows are on the page."""
        if is_last or leads.in_ledger:
            return {"total": shown if is_last else leads.total(), "count_url": ""}
        return {"total": "", "count_url": f"{reverse('leads:count')}?{urlencode({'shown': shown})}&{query}"}

    def _furniture(self, params: dict[str, str], leads: LeadList, kept: dict[str, Any]) -> dict[str, Any]:
        groups = [(title, [self._control(name, params) for name in names]) for title, names in _IN_MENU]
        fields = [field for _title, group in groups for field in group]
        applied = leads.narrowing.applied
        return {
            "views": self._views(params),
            "field_groups": groups,
            "chips": [
                {
                    "label": LeadFilters.filters[LeadFilters.aliases.get(name, name)].label,
                    "value": self._shown(name, text, fields),
                    "remove": f"?{urlencode({key: value for key, value in kept.items() if key != name}, doseq=True)}",
                }
                for name, text in applied.items()
                if name != "search"
            ],
            "search": params.get("search", ""),
            "all_columns": [(code, column.heading) for code, column in COLUMNS.items()],
            "sorts": [
                {
                    "label": item.label,
                    "query": name if name in _ASCENDING else f"-{name}",
                    "active": name == params.get("sort", "").lstrip("-"),
                }
                for name, item in SORTS.items()
            ],
            "can_import": self.actor.can(IMPORT),
            "can_delete": self.actor.can(DELETE),
            # What each of the two forms over the list passes on for the other.
            "kept_by_filters": [
                ("sort", params.get("sort", "")),
                *(("col", code) for code in kept.get("col", ())),
                *((name, kept[name]) for name in _OF_OPERATIONS if name in kept),
            ],
            "kept_by_columns": [(name, text) for name, text in params.items() if text and name not in ("col", "cursor", "shown")],
        }

    def _control(self, name: str, params: dict[str, str]) -> dict[str, Any]:
        rule = LeadFilters.filters[name]
        choices: Iterable[tuple[str, Any]] = rule.choices() if rule.choices else ()
        return {"name": name, "label": rule.label, "control": rule.control, "value": params.get(name, ""), "choices": list(choices)}

    def _shown(self, name: str, text: str, fields: list[dict[str, Any]]) -> str:
        real = LeadFilters.aliases.get(name, name)
        if real in _OF_OPERATIONS:
            return self._operation(text)
        labels = next(({str(code): str(label) for code, label in field["choices"]} for field in fields if field["name"] == real), {})
        return ", ".join(labels.get(word.strip(), word.strip()) for word in text.split(","))

    def _operation(self, text: str) -> str:
        """An operation by its title, where the actor may see it."""
        found = operations_visible_to(self.actor).filter(pk=self._number(text)).first()
        return found.title if found else f"#{text}"

    def _views(self, params: dict[str, str]) -> list[dict[str, Any]]:
        given = {name: text for name, text in params.items() if text and name not in ("cursor", "shown", "col", "page")}
        views = built_in_views()
        for view in views:
            view["url"] = f"/leads?{urlencode(view['query'])}" if view["query"] else "/leads"
            view["active"] = given == view["query"]
        if not any(view["active"] for view in views):
            views[0]["active"], views[0]["changed"] = True, True
        return views

    def _sort(self, text: str) -> tuple[str, bool]:
        name = text.lstrip("-")
        if name not in SORTS:
            return "created_at", True
        return name, text.startswith("-")

    def _number(self, text: str) -> int:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def follow_up_choices() -> list[tuple[str, str, timedelta]]:
    """When a follow-up may be put off to."""
    return [("1d", _("Tomorrow"), timedelta(days=1)), ("3d", _("In 3 days"), timedelta(days=3)), ("7d", _("Next week"), timedelta(days=7))]
