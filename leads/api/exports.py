"""S0-13: leads as a file, streamed; large ones as an operation with a link that expires."""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import orjson
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import CONDITIONS
from crm.operations.api import OPERATION, operation_out
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.files import file_response
from crm.rest.paging import whole
from crm.rest.views import ApiView, OpenApiView
from leads.api.inputs import flag
from leads.filters import SORTS, LeadFilters
from leads.permissions import EXPORT
from leads.services.exports import (
    FORMATS,
    MOST_RECORDS,
    MOST_STREAMED,
    MOST_STREAMED_XLSX,
    LeadExport,
    checked_export,
    is_large,
    open_by_link,
    start_export,
    stream_export,
)

_TAGS = ["leads"]
# Parameters of the export itself; the rest are filters.
_OWN = {
    "format", "filters", "fields", "include_deleted", "include_activities", "max_records", "sort_by", "sort_order", "async", "headings", "ids",
}  # fmt: skip
_PARAMETERS = [
    OpenApiParameter("format", str, enum=list(FORMATS), default="csv"),
    OpenApiParameter("filters", str, description="The list's filters as a JSON object or a query; they may stand beside it as well"),
    OpenApiParameter("fields", str, description="Comma-separated; custom_fields.<name> is a field of one's own"),
    OpenApiParameter("ids", str, description="Only these leads, comma-separated"),
    OpenApiParameter("sort_by", str, enum=list(SORTS), default="created_at"),
    OpenApiParameter("sort_order", str, enum=["asc", "desc"], default="desc"),
    OpenApiParameter("include_deleted", bool, default=False),
    OpenApiParameter("include_activities", bool, default=False, description="Add a summary of what happened with each lead"),
    OpenApiParameter("max_records", int, default=10_000),
    OpenApiParameter("headings", str, enum=["names", "labels"], default="names", description="Headings of CSV and XLSX"),
    OpenApiParameter("async", bool, default=False, description="As an operation, whatever its size"),
]


def filters_of(text: str) -> dict[str, str]:
    """The `filters` parameter: a JSON object, whose lists mean any of them, or a query. Raises InvalidInput for one that is neither."""
    text = text.strip()
    if not text:
        return {}
    try:
        if text.startswith("{"):
            return {name: _as_text(value) for name, value in orjson.loads(text).items()}
        return dict(parse_qsl(text, strict_parsing=True, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise InvalidInput({"filters": ["Must be a JSON object, or a query such as status=new&priority=high."]}) from None


def _known(filters: Mapping[str, str], *, within: str = "", by: Actor) -> dict[str, str]:
    """The same, if every name is a filter of the list as the actor sees it: a misspelt one would export everything."""
    offered = LeadFilters.seen_by(by)
    known = {*offered.all_filters(), *offered.aliases, CONDITIONS}
    unknown = sorted(set(filters) - known)
    if unknown:
        raise InvalidInput({f"{within}{name[:40]}": ["There is no such filter."] for name in unknown[:10]})
    return dict(filters)


def _as_text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ",".join(_as_text(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)


def _ids(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
        raise InvalidInput({"ids": ["Must be ids of leads, comma-separated."]})
    return tuple(dict.fromkeys(int(word) for word in words))


def asked_for(params: Mapping[str, str], *, most: int | None, by: Actor) -> LeadExport:
    """The export that a query describes. Raises InvalidInput."""
    order = (params.get("sort_order") or "desc").lower()
    headings = (params.get("headings") or "names").lower()
    problems = {}
    if order not in ("asc", "desc"):
        problems["sort_order"] = ["Must be asc or desc."]
    if headings not in ("names", "labels"):
        problems["headings"] = ["Must be names or labels."]
    if problems:
        raise InvalidInput(problems)
    beside = _known({name: params[name] for name in params if name not in _OWN}, by=by)
    inside = _known(filters_of(params.get("filters") or ""), within="filters.", by=by)
    return LeadExport(
        format=(params.get("format") or "csv").strip().lower(),
        fields=tuple((params.get("fields") or "").split(",")),
        filters={name: text for name, text in {**beside, **inside}.items() if text},
        ids=_ids(params.get("ids") or ""),
        sort=params.get("sort_by") or "created_at",
        descending=order == "desc",
        with_deleted=flag(params, "include_deleted", default=False),
        activities=flag(params, "include_activities", default=False),
        most=most,
        labels=headings == "labels",
    )


class ExportView(ApiView):
    """Leads as a file. The answer is the file itself, or 202 with an operation where it is large or was asked for so."""

    capabilities: ClassVar[dict[str, str]] = {"get": EXPORT}
    rate_kind = "export"

    @extend_schema(
        parameters=_PARAMETERS,
        summary="Export leads",
        description=f"Streamed up to {MOST_STREAMED:,} leads ({MOST_STREAMED_XLSX:,} as XLSX), else an operation whose result holds a link.",
        tags=_TAGS,
        operation_id="leads_export",
        responses={
            (200, "text/csv"): OpenApiTypes.BINARY,
            (200, "application/json"): OpenApiTypes.OBJECT,
            202: described("Operation", OPERATION),
        },
    )
    def get(self, request: Request, **_: Any) -> HttpResponseBase:
        params = request.query_params
        most = whole(params, "max_records", default=10_000, least=1, most=MOST_RECORDS)
        export = checked_export(export=asked_for(params.dict(), most=most, by=self.actor), by=self.actor)
        if flag(params, "async", default=False) or is_large(export=export, by=self.actor):
            return success(request, operation_out(start_export(export=export, by=self.actor)), status=202)
        return file_response(stream_export(export=export, by=self.actor))


class ExportDownloadView(OpenApiView):
    """A finished export by its signed link, which needs no sign-in and expires."""

    rate_kind = "standard"

    @extend_schema(
        summary="Download an export",
        tags=_TAGS,
        operation_id="leads_export_download",
        responses={
            200: OpenApiResponse(OpenApiTypes.BINARY),
            404: OpenApiResponse(description="No such export"),
            410: OpenApiResponse(description="Expired"),
        },
    )
    def get(self, request: Request, token: str, **_: Any) -> HttpResponseBase:
        return file_response(open_by_link(token=token))
