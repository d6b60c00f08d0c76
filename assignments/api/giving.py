"""S1-11 to S1-13 and S1-15 to S1-19: give, move and take away leads; who has them, and had them."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assignments.api import output
from assignments.api.output import assignment_out, listed_out, person_out, with_lead_out
from assignments.permissions import ASSIGN, CHANGE, VIEW
from assignments.selectors import (
    Load,
    assignments_in_order,
    count_current,
    current_assignment,
    current_assignments,
    history_of_lead,
    loads,
    people_left,
    people_named,
    people_with_leads,
    status_ids_of,
)
from assignments.services.giving import MOST_REASON, Given, assign_lead, reassign_lead, unassign_lead
from crm.errors import InvalidInput, NotFound
from crm.identity.models import User
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, whole
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from leads.services.editing import find_lead

_TAGS = ["assignments"]
_PAGING = [
    OpenApiParameter("limit", int, description=f"Rows, at most {MAX_LIMIT}"),
    OpenApiParameter("offset", int, description="Rows to pass over"),
    OpenApiParameter("cursor", str, description="As `meta.pagination.nextCursor` answered; carries no total"),
]


def _id() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class _Said(InputSerializer):
    reason = serializers.CharField(max_length=MOST_REASON, required=False, allow_blank=True, default="")


class AssignIn(_Said):
    lead_id = _id()
    assigned_user_id = _id()
    notes = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")


class ReassignIn(_Said):
    lead_id = _id()
    new_assigned_user_id = _id()
    notes = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")


class UnassignIn(_Said):
    lead_id = _id()


def _answer(request: Request, given: Given, message: str) -> Response:
    return success(request, {"assignment": assignment_out(given.assignment), "assigned_user": person_out(given.user)}, message=message)


class AssignView(ApiView):
    """Give a lead that nobody has."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(request=AssignIn, responses={200: output.GIVEN}, tags=_TAGS, summary="Assign a lead", operation_id="assignments_assign")
    def post(self, request: Request) -> Response:
        body = read(AssignIn, request.data)
        given = assign_lead(
            lead_id=body["lead_id"], user_id=body["assigned_user_id"], reason=body["reason"], notes=body["notes"], by=self.actor
        )
        return _answer(request, given, "Lead assigned successfully")


class ReassignView(ApiView):
    """Move a lead to another person."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=ReassignIn, responses={200: output.GIVEN}, tags=_TAGS, summary="Reassign a lead", operation_id="assignments_reassign"
    )
    def post(self, request: Request) -> Response:
        body = read(ReassignIn, request.data)
        given = reassign_lead(
            lead_id=body["lead_id"], user_id=body["new_assigned_user_id"], reason=body["reason"], notes=body["notes"], by=self.actor
        )
        return _answer(request, given, "Lead reassigned successfully")


class UnassignView(ApiView):
    """Take a lead away from its owner."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=UnassignIn, responses={200: output.GIVEN}, tags=_TAGS, summary="Unassign a lead", operation_id="assignments_unassign"
    )
    def post(self, request: Request) -> Response:
        body = read(UnassignIn, request.data)
        given = unassign_lead(lead_id=body["lead_id"], reason=body["reason"], by=self.actor)
        return _answer(request, given, "Lead unassigned successfully")


class LeadAssignmentView(ApiView):
    """Who has a lead now."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(responses={200: output.CURRENT}, tags=_TAGS, summary="The present assignment of a lead")
    def get(self, request: Request, lead_id: str) -> Response:
        lead = find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)
        row = current_assignment(lead)
        if row is None or row.assigned_user_id is None:
            raise NotFound("This lead is not assigned to anybody.")
        row.lead = lead
        return success(request, with_lead_out(row, people_named([row.assigned_by_id])))


class LeadHistoryView(ApiView):
    """All owners a lead has had, the present one first; rows without a user say that it was taken away."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(responses={200: output.HISTORY}, tags=_TAGS, summary="Past assignments of a lead")
    def get(self, request: Request, lead_id: str) -> Response:
        rows = history_of_lead(find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor))
        people = people_named([row.assigned_by_id for row in rows])
        return success(request, [listed_out(row, people) for row in rows])


class AssignmentListView(ApiView):
    """Base of the lists of present assignments, the latest first."""

    def listed(
        self, request: Request, *, user_id: int | None, status_ids: list[int] | None, filters: dict[str, Any], limit: int = 50
    ) -> Response:
        params = request.query_params
        limit = whole(params, "limit", default=limit, least=1, most=MAX_LIMIT)
        listing = current_assignments(actor=self.actor, user_id=user_id, status_ids=status_ids)
        if "cursor" in params:
            page = listing.page(limit=limit, cursor=params["cursor"] or None)
            pagination = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
            return success(request, self._out(page.ids), pagination=pagination, filters={**filters, "limit": limit})
        offset = whole(params, "offset", default=0, least=0, most=10**9)
        total = count_current(listing=listing, actor=self.actor, user_id=user_id, status_ids=status_ids)
        ids = listing.page(limit=limit, offset=offset).ids if offset < total else []
        return success(request, self._out(ids), filters={**filters, "limit": limit, "offset": offset}, total=total)

    def _out(self, ids: list[int]) -> list[dict[str, Any]]:
        rows = assignments_in_order(ids)
        people = people_named([row.assigned_by_id for row in rows])
        return [with_lead_out(row, people) for row in rows]


class EntityAssignmentsView(AssignmentListView):
    """All present assignments of the tenant in the caller's sight."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        parameters=[
            OpenApiParameter("assigned_user_id", int),
            OpenApiParameter("lead_status", str, description="Statuses, separated by commas"),
            *_PAGING,
        ],
        responses={200: output.LIST},
        tags=_TAGS,
        summary="All assignments",
        operation_id="assignments_entity",
    )
    def get(self, request: Request) -> Response:
        params, filters = request.query_params, {}
        user_id = status_ids = None
        if params.get("assigned_user_id"):
            user_id = whole(params, "assigned_user_id", default=0, least=0, most=2**63 - 1)
            filters["assigned_user_id"] = user_id
        if params.get("lead_status"):
            try:
                status_ids = status_ids_of(params["lead_status"])
            except ValueError as error:
                raise InvalidInput({"lead_status": [str(error)]}) from None
            filters["lead_status"] = params["lead_status"]
        return self.listed(request, user_id=user_id, status_ids=status_ids, filters=filters)


class OwnAssignmentsView(AssignmentListView):
    """The caller's own leads as assignments."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        parameters=_PAGING, responses={200: output.LIST}, tags=_TAGS, summary="Assignments of the caller", operation_id="assignments_user"
    )
    def get(self, request: Request) -> Response:
        filters = {"assigned_user_id": self.actor.user_id}
        return self.listed(request, user_id=self.actor.user_id or 0, status_ids=None, filters=filters, limit=20)


class WorkloadView(ApiView):
    """How many leads each person has, and nobody.

    Who has leads but works none any more comes last, with `works_leads` false, and is in no average: rows and unassigned add up
    to all live leads.
    """

    capabilities: ClassVar[dict[str, str]] = {"get": ASSIGN}

    @extend_schema(responses={200: output.WORKLOAD}, tags=_TAGS, summary="Leads per user", operation_id="assignments_workload")
    def get(self, request: Request) -> Response:
        found, people = loads(), people_with_leads()
        rows = [_workload_out(person.user, found.get(person.user.pk, Load()), works=True) for person in people]
        nobody = found.get(None)
        assigned = sum(row["assigned_leads"] for row in rows)
        gone = people_left(found, {person.user.pk for person in people})
        data = {
            "unassigned_leads": nobody.assigned if nobody else 0,
            "workload_distribution": rows + [_workload_out(left.user, left.load, works=False) for left in gone],
            "total_users": len(rows),
            "average_leads_per_user": round(assigned / len(rows), 2) if rows else 0,
        }
        return success(request, data)


def _workload_out(user: User, load: Load, *, works: bool) -> dict[str, Any]:
    return {
        **(person_out(user) or {}),
        "email": user.email,
        "assigned_leads": load.assigned,
        "active_leads": load.active,
        "closed_leads": load.closed,
        "is_active": user.is_active,
        "works_leads": works,
    }
