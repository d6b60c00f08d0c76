"""Export the list one came from: format, columns, and the file at once or when a worker has written it."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.conditions import describe
from crm.errors import InvalidInput
from crm.filters import CONDITIONS
from crm.operations.models import Operation
from crm.rest.files import file_response
from crm.rest.paging import whole
from crm.web.pages import UNPROCESSABLE, Page
from customobjects.selectors import hidden_keys
from leads.filters import SORTS, LeadFilters
from leads.models import Lead
from leads.permissions import EXPORT
from leads.services.export_fields import CUSTOM, FIELDS, SOURCES, export_sources
from leads.services.exports import (
    KIND,
    MOST_RECORDS,
    LeadExport,
    checked_export,
    is_large,
    is_ready,
    open_export,
    start_export,
    stream_export,
)

FORMATS = (
    ("csv", gettext_lazy("CSV"), gettext_lazy("Opens in every spreadsheet, and can be imported again")),
    ("xlsx", gettext_lazy("Excel workbook"), gettext_lazy("Numbers and dates as such, in your time zone")),
    ("json", gettext_lazy("JSON"), gettext_lazy("For programs")),
)
# Parameters of the list that do not narrow it.
_NO_FILTERS = ("sort", "col", "cursor", "shown", "page", "view", "group")
# The list's columns under an export's names.
_COLUMNS = {
    "owner": "assigned_to_name",
    "status": "status_label",
    "source": "lead_source",
    "grade": "quality_grade",
    "platform": "platform_key",
}
# What people take along where the list does not say.
_USUAL = (
    "id", "first_name", "last_name", "email", "phone", "company", "title", "industry", "city", "country", "status_label", "priority",
    "assigned_to_name", "score", "tags", "lead_source", "created_at", "last_contact", "next_follow_up",
)  # fmt: skip
_LOOKED_AT = 200


class ExportPage(Page):
    """GET asks what the file should hold, with the list's query taken over; POST answers the file, or goes to its operation."""

    capability = EXPORT
    template = "leads/export.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.ask(request.GET.urlencode(), chosen=None)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        query = request.POST.get("query", "")[:8000]
        names = request.POST.getlist("field")
        try:
            if not names:
                raise InvalidInput({"fields": [_("Choose at least one column.")]})
            most = whole(request.POST, "max_records", default=MOST_RECORDS, least=1, most=MOST_RECORDS)
            wanted = self.wanted(query, format=request.POST.get("format", "csv"), fields=tuple(names), most=most)
            export = checked_export(export=wanted, by=self.actor)
        except InvalidInput as refusal:
            return self.ask(query, chosen=names, problem=refusal.message, status=UNPROCESSABLE)
        if is_large(export=export, by=self.actor):
            return redirect("operations:operation", start_export(export=export, by=self.actor).pk)
        return file_response(stream_export(export=export, by=self.actor))

    def wanted(self, query: str, *, format: str, fields: tuple[str, ...], most: int | None) -> LeadExport:
        """The export of a list by its address."""
        pairs = dict(parse_qsl(query, max_num_fields=200))
        sort = pairs.get("sort", "")
        known = sort.lstrip("-") in SORTS
        chosen = pairs.get("ids", "")
        ids = tuple(int(word) for word in chosen.split(",") if word.isascii() and word.isdigit() and len(word) <= 18)
        return LeadExport(
            format=format,
            fields=fields,
            filters={name: text for name, text in pairs.items() if name not in (*_NO_FILTERS, "ids")},
            ids=ids,
            sort=sort.lstrip("-") if known else "created_at",
            descending=sort.startswith("-") if known else True,
            activities=self.request.POST.get("include_activities") == "on",
            with_deleted=self.request.POST.get("include_deleted") == "on",
            most=most,
            labels=format != "json",
        )

    def ask(self, query: str, *, chosen: list[str] | None, problem: str = "", status: int = 200) -> HttpResponseBase:
        pairs = parse_qsl(query, max_num_fields=200)
        wanted = self.wanted(query, format="csv", fields=(), most=None)
        try:
            leads = wanted.leads(self.actor)
            total = wanted.number(self.actor)
        except InvalidInput as refusal:
            problem, query, pairs = problem or refusal.message, "", []
            wanted = self.wanted("", format="csv", fields=(), most=None)
            leads, total = wanted.leads(self.actor), wanted.number(self.actor)
        columns = [_COLUMNS.get(code, code) for name, code in pairs if name == "col"]
        picked = set(chosen if chosen is not None else ["name", *columns] if columns else _USUAL)
        back = [(name, text) for name, text in pairs if name != "ids"]
        return self.show(
            {
                "query": query,
                "total": total,
                "formats": FORMATS,
                "format": self.request.POST.get("format", "csv"),
                "groups": self.groups(leads.listing.page(limit=_LOOKED_AT).ids, picked),
                "applied": [self.told(name, text) for name, text in leads.narrowing.applied.items()],
                "picked_ids": len(wanted.ids),
                "problem": problem,
                "include_activities": self.request.POST.get("include_activities") == "on",
                "include_deleted": self.request.POST.get("include_deleted") == "on",
                "max_records": self.request.POST.get("max_records", ""),
                "back_url": f"{reverse('leads:list')}?{urlencode(back)}" if back else reverse("leads:list"),
            },
            status=status,
        )

    def told(self, given: str, text: str) -> tuple[Any, str]:
        """A filter of the list by its label, and what it asks."""
        filters = LeadFilters.seen_by(self.actor)
        name = filters.aliases.get(given, given)
        if name == CONDITIONS:
            return _("Conditions"), describe(json.loads(text), filters.condition_fields())
        return filters.all_filters()[name].label, text

    def groups(self, ids: list[int], picked: set[str]) -> list[dict[str, Any]]:
        """The columns on offer by group, those of one's own as the newest leads of the list hold them."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for name, item in FIELDS.items():
            if name != CUSTOM:
                groups.setdefault(str(item.group), []).append({"name": name, "label": item.label, "picked": name in picked})
        for source in export_sources.of(SOURCES):
            offered = ((f"{source.prefix}.{name}", label) for name, label in source.columns.items())
            groups.setdefault(str(source.group), []).extend(
                {"name": name, "label": label, "picked": name in picked} for name, label in offered
            )
        keys = custom_keys(ids, self.actor)
        own = [{"name": f"{CUSTOM}.{key}", "label": key, "picked": f"{CUSTOM}.{key}" in picked} for key in keys]
        own.append({"name": CUSTOM, "label": _("All of them in one column, as JSON"), "picked": CUSTOM in picked})
        groups.setdefault(str(FIELDS[CUSTOM].group), []).extend(own)
        return [{"label": label, "fields": fields} for label, fields in groups.items()]


def custom_keys(ids: list[int], actor: Actor) -> list[str]:
    """The tenant's own fields that these leads hold."""
    hidden = hidden_keys(SOURCES, actor)
    found = {key for held in Lead.objects.filter(pk__in=ids).values_list("custom_fields", flat=True) for key in held or ()}
    return sorted(key for key in found if key not in hidden and 0 < len(key) <= 100)[:100]


class ExportFilePage(Page):
    """The finished file of an export."""

    capability = EXPORT

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        return file_response(open_export(operation_id=pk if pk < 2**63 else 0, by=self.actor))


def export_section(operation: Operation, actor: Actor) -> dict[str, Any]:
    """What stands on the page of an export's operation."""
    ready = operation.kind == KIND and is_ready(operation) and actor.can(EXPORT)
    return {"operation": operation, "is_export": operation.kind == KIND, "ready": ready, "result": operation.result}
