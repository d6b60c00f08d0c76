"""Endpoints of leads: S0-01 to S0-04, S1-04 to S1-10, S4-036 to S4-040."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.registry import sections
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, whole
from crm.rest.views import ApiView, parse_id
from crm.timeline import entry_out, page_of
from leads.api import description
from leads.api.inputs import LeadCreate, LeadUpdate, flag
from leads.api.output import lead_out, list_out
from leads.enums import Platform
from leads.filters import SORTS, LeadFilters, LeadList
from leads.models import Lead
from leads.permissions import ADD, CHANGE, DELETE, VIEW
from leads.selectors import (
    counts_by_status,
    rows_in_order,
)
from leads.services.bin import delete_lead
from leads.services.drafts import LeadDraft
from leads.services.editing import edit_lead, find_lead
from leads.services.intake import capture_lead

_LIST_PARAMETERS = [
    *(OpenApiParameter(name, str, description=str(rule.label)) for name, rule in LeadFilters.filters.items()),
    description.OfferedFilters,
    OpenApiParameter("assigned_user_id", str, description="The same as assigned_to"),
    OpenApiParameter(
        "filter",
        str,
        description="Nested conditions as JSON. Custom fields are filters as cf_<key>, and by their kind with _min, _max, _after, _before, _contains, _empty",
    ),
    OpenApiParameter("sort_by", str, enum=list(SORTS), default="created_at"),
    OpenApiParameter("sort_order", str, enum=["asc", "desc"], default="desc"),
    OpenApiParameter("page", int, description="Page number, document 0's shape"),
    OpenApiParameter("limit", int, description="Rows, at most 200"),
    OpenApiParameter("offset", int, description="Rows to pass over; answers document 1's shape"),
    OpenApiParameter("cursor", str, description="Where the last page ended; an empty cursor starts. Carries no total"),
    OpenApiParameter("include_deleted", bool),
    OpenApiParameter("include_total", bool, description="Add the exact total to a cursor page"),
]


def listed(request: Request, actor: Any, extra: dict[str, str] | None = None) -> tuple[LeadList, Any]:
    """The list a query asks for, and the query itself."""
    params = request.query_params
    sort, order = params.get("sort_by") or "created_at", (params.get("sort_order") or "desc").lower()
    problems = {}
    if sort not in SORTS:
        problems["sort_by"] = [f"Must be one of {', '.join(SORTS)}."]
    if order not in ("asc", "desc"):
        problems["sort_order"] = ["Must be asc or desc."]
    if problems:
        raise InvalidInput(problems)
    given = {**{name: params.get(name, "") for name in params}, **(extra or {})}
    with_deleted = flag(params, "include_deleted", default=False)
    return LeadList(params=given, actor=actor, sort=sort, descending=order == "desc", with_deleted=with_deleted), params


class LeadsView(ApiView):
    """The list of leads, and adding one."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "post": ADD}

    @extend_schema(
        operation_id="leads_list", parameters=_LIST_PARAMETERS, summary="List leads", tags=["leads"], responses={200: description.LEADS}
    )
    def get(self, request: Request, **_: Any) -> Response:
        leads, params = listed(request, self.actor)
        if "cursor" in params:
            return self._by_cursor(request, leads)
        if "offset" in params:
            return self._by_offset(request, leads)
        return self._by_page(request, leads)

    def _by_cursor(self, request: Request, leads: LeadList) -> Response:
        limit = whole(request.query_params, "limit", default=50, least=1, most=MAX_LIMIT)
        page = leads.listing.page(limit=limit, cursor=request.query_params["cursor"] or None)
        now = datetime.now(UTC)
        pagination: dict[str, Any] = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
        if flag(request.query_params, "include_total", default=False):
            pagination["total"] = leads.total()
        rows = [list_out(row, now) for row in rows_in_order(page.ids)]
        return success(request, {"leads": rows, "filters_applied": leads.narrowing.applied}, pagination=pagination)

    def _by_offset(self, request: Request, leads: LeadList) -> Response:
        """Document 1's shape: an array, `filters` and `total` beside it."""
        params = request.query_params
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        offset = whole(params, "offset", default=0, least=0, most=10**9)
        total = leads.total()
        page = leads.listing.page(limit=limit, offset=offset) if offset < total else None
        now = datetime.now(UTC)
        rows = [list_out(row, now) for row in rows_in_order(page.ids)] if page else []
        filters = {**leads.narrowing.applied, "limit": limit, "offset": offset}
        return success(request, rows, filters=filters, total=total)

    def _by_page(self, request: Request, leads: LeadList) -> Response:
        """Document 0's shape, which answers document 4's `meta.pagination` too."""
        params = request.query_params
        limit = whole(params, "limit", default=25, least=1, most=MAX_LIMIT)
        number = whole(params, "page", default=1, least=1, most=10**9)
        total = leads.total()
        offset = (number - 1) * limit
        page = leads.listing.page(limit=limit, offset=offset) if offset < total else None
        now = datetime.now(UTC)
        rows = [list_out(row, now) for row in rows_in_order(page.ids)] if page else []
        pages = -(-total // limit)
        data = {
            "leads": rows,
            "pagination": {
                "current_page": number,
                "per_page": limit,
                "total_items": total,
                "total_pages": pages,
                "has_next": number < pages,
                "has_previous": number > 1,
            },
            "filters_applied": _as_documented(leads.narrowing.applied),
        }
        pagination = {"page": number, "limit": limit, "total": total, "hasNext": number < pages, "hasPrev": number > 1}
        return success(request, data, pagination=pagination)

    @extend_schema(request=LeadCreate, summary="Add a lead", tags=["leads"], responses={201: description.CREATED})
    def post(self, request: Request, **_: Any) -> Response:
        body = LeadCreate(data=_object(request.data))
        body.is_valid(raise_exception=True)
        values = body.as_services_name_them()
        ignore, skip_enrichment = values.pop("ignore_duplicates"), values.pop("skip_enrichment")
        values.pop("lost_reason", None)
        draft = LeadDraft(**{"platform_key": Platform.API, **values})
        captured = capture_lead(draft=draft, ignore_duplicates=ignore, enrich=False if skip_enrichment else None, by=self.actor)
        lead = captured.lead
        data = {
            "lead": lead_out(lead, by=self.actor),
            "enrichment_status": "skipped" if skip_enrichment else "attempted",
            "duplicate_check": {"performed": True, "duplicates_found": len(captured.duplicates), "ignored": ignore},
            "warnings": list(captured.warnings),
        }
        return success(request, data, message="Lead created successfully", status=201)


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidInput({"": ["The body must be a JSON object."]})
    return data


def _as_documented(applied: dict[str, str]) -> dict[str, Any]:
    """Document 0's example shows the statuses as a list and the rest as text (rule 0.12)."""
    return {name: [word.strip() for word in text.split(",")] if name == "status" else text for name, text in applied.items()}


class LeadView(ApiView):
    """One lead: read, change, put into the bin."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "put": CHANGE, "patch": CHANGE, "delete": DELETE}

    @extend_schema(
        parameters=[OpenApiParameter("include_timeline", bool, default=True), OpenApiParameter("include_duplicates", bool, default=False)],
        summary="Read a lead",
        tags=["leads"],
        responses={200: description.LEAD},
    )
    def get(self, request: Request, id: str, **_: Any) -> Response:
        lead = find_lead(lead_id=parse_id(id), by=self.actor)
        now = datetime.now(UTC)
        own = lead_out(lead, now, by=self.actor)
        with_timeline = flag(request.query_params, "include_timeline", default=True)
        timeline = [entry_out(entry, now) for entry in page_of("leads.Lead", lead, reader=self.actor).entries] if with_timeline else []
        duplicates = self._duplicates(lead) if flag(request.query_params, "include_duplicates", default=False) else []
        return success(request, {**own, "lead": own, "timeline": timeline, "potential_duplicates": duplicates, **self._further(lead)})

    def _further(self, lead: Lead) -> dict[str, Any]:
        """What higher apps answer beside the lead's own keys."""
        named = (item for item in sections.of("leads.Lead") if item.api_key and item.api_key != "potential_duplicates")
        built = {item.api_key: item.build(lead, self.actor) for item in named}
        return {name: section["answer"] if section is not None else None for name, section in built.items()}

    def _duplicates(self, lead: Lead) -> list[dict[str, Any]]:
        """What a higher app answers; none where there is no such app."""
        found = [item.build(lead, self.actor)["answer"] for item in sections.of("leads.Lead") if item.api_key == "potential_duplicates"]
        return found[0] if found else []

    @extend_schema(request=LeadUpdate, summary="Change a lead", tags=["leads"], responses={200: description.CHANGED})
    def put(self, request: Request, id: str, **_: Any) -> Response:
        body = LeadUpdate(data=_object(request.data), partial=True)
        body.is_valid(raise_exception=True)
        edited = edit_lead(lead_id=parse_id(id), data=body.as_services_name_them(), by=self.actor)
        data = {
            "lead": lead_out(edited.lead, by=self.actor),
            "changes_applied": {
                "fields_updated": len(edited.fields_changed),
                "score_recalculated": edited.rescored,
                "fields_changed": edited.fields_changed,
            },
            "audit": {"updated_at": edited.lead.updated_at, "updated_by": self.actor.user_id or "system"},
        }
        return success(request, data, message="Lead updated successfully")

    @extend_schema(request=LeadUpdate, summary="Change a lead", tags=["leads"], responses={200: description.CHANGED})
    def patch(self, request: Request, id: str, **_: Any) -> Response:
        return self.put(request, id)

    @extend_schema(summary="Put a lead into the bin", tags=["leads"], responses={200: description.DELETED})
    def delete(self, request: Request, id: str, **_: Any) -> Response:
        lead_id = parse_id(id)
        delete_lead(lead_id=lead_id, by=self.actor)
        return success(request, {"id": lead_id, "deleted": True}, message="Lead deleted")


class CountsView(ApiView):
    """S1-07: leads in each status."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(summary="Count leads by status", tags=["leads"], responses={200: description.COUNTS})
    def get(self, request: Request, **_: Any) -> Response:
        return success(request, [{"status": status.code, "count": number} for status, number in counts_by_status(self.actor)])


class UnassignedView(ApiView):
    """S1-08: leads nobody is assigned to."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    owner: ClassVar[str] = "none"

    @extend_schema(summary="List leads of nobody", tags=["leads"], parameters=_LIST_PARAMETERS, responses={200: description.LEAD_ROWS})
    def get(self, request: Request, **_: Any) -> Response:
        leads, params = listed(request, self.actor, {"assigned_to": self.owner, "assigned_user_id": ""})
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        offset = whole(params, "offset", default=0, least=0, most=10**9)
        page = leads.listing.page(limit=limit, offset=offset, cursor=params.get("cursor") or None)
        now = datetime.now(UTC)
        rows = [list_out(row, now) for row in rows_in_order(page.ids)]
        filters = {
            **{name: text for name, text in leads.narrowing.applied.items() if name != "assigned_to"},
            "limit": limit,
            "offset": offset,
        }
        pagination = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
        return success(request, rows, filters=filters, total=leads.total(), pagination=pagination)


class MyLeadsView(UnassignedView):
    """S1-09: the caller's own leads."""

    owner = "me"

    @extend_schema(summary="List the caller's leads", tags=["leads"], parameters=_LIST_PARAMETERS, responses={200: description.LEAD_ROWS})
    def get(self, request: Request, **_: Any) -> Response:
        return super().get(request)


class PipelineView(ApiView):
    """S1-10: the newest leads of each status, with exact counts."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Leads by status",
        tags=["leads"],
        parameters=[OpenApiParameter("limit", int, default=50)],
        responses={200: description.PIPELINE},
    )
    def get(self, request: Request, **_: Any) -> Response:
        limit = whole(request.query_params, "limit", default=50, least=1, most=MAX_LIMIT)
        counts = counts_by_status(self.actor)
        now = datetime.now(UTC)
        ids = {
            status.code: LeadList(params={"status": status.code}, actor=self.actor).listing.page(limit=limit).ids
            for status, number in counts
            if number
        }
        found = {row["id"]: list_out(row, now) for row in rows_in_order([pk for column in ids.values() for pk in column])}
        pipeline = {status.code: [found[pk] for pk in ids.get(status.code, []) if pk in found] for status, _number in counts}
        return success(
            request, {"pipeline": pipeline, "statusCounts": [{"status": status.code, "count": number} for status, number in counts]}
        )
