"""S1-14 and S4-051: many leads at once, spread over people or placed by the rules."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assignments.api import output
from assignments.permissions import ASSIGN
from assignments.selectors import count_unowned
from assignments.services.bulk import Spread, place_selection, spread_unassigned
from assignments.services.giving import MOST_REASON
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView
from leads.services.bulk import Selection


class BulkAssignIn(InputSerializer):
    reason = serializers.CharField(max_length=MOST_REASON, required=False, allow_blank=True, default="")
    max_leads_per_user = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True, default=None)


class AutoAssignIn(InputSerializer):
    """Which leads: ids, a list's filters, or all that nobody has where nothing is said."""

    lead_ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=100_000)
    filters = serializers.DictField(child=serializers.CharField(max_length=20_000), required=False)
    reason = serializers.CharField(max_length=MOST_REASON, required=False, allow_blank=True, default="")


def _answer(request: Request, spread: Spread, *, left: int = 0, named: bool = False) -> Response:
    """`left` is how many leads nobody had room for; of leads that were `named`, those left alone are answered with the reason."""
    if spread.operation is not None:
        operation = spread.operation
        data: dict[str, Any] = {"total_assigned": 0, "assignments": [], "unassigned": [], "operation_id": operation.pk}
        data["operation_url"] = f"/api/operations/{operation.pk}"
        return success(request, data, message=f"{operation.total:,} leads are being assigned", status=202)
    given = spread.placed.given
    rows = [{"lead_id": lead_id, "assigned_user_id": user_id} for lead_id, user_id in given.items()]
    noun = "lead" if len(rows) == 1 else "leads"
    data = {"total_assigned": len(rows), "assignments": rows, "unassigned": spread.placed.waiting}
    message = f"Successfully assigned {len(rows)} {noun}" if rows or not left else ""
    if named:
        data["skipped"] = [{"lead_id": lead_id, "reason": why} for lead_id, why in spread.skipped.items()]
    elif left:
        noun = "lead stays" if left == 1 else "leads stay"
        message = f"{message}. Nobody has room: {left:,} {noun} unassigned".removeprefix(". ")
    return success(request, data, message=message)


class BulkAssignView(ApiView):
    """Spread the unassigned leads in turn over who takes leads. Some thousands at once; more become an operation (202)."""

    capabilities: ClassVar[dict[str, str]] = {"post": ASSIGN}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkAssignIn,
        responses={200: output.SPREAD, 202: output.SPREAD},
        tags=["assignments"],
        summary="Spread unassigned leads",
        operation_id="assignments_bulk_assign",
    )
    def post(self, request: Request) -> Response:
        body = read(BulkAssignIn, request.data)
        spread = spread_unassigned(reason=body["reason"], most_each=body["max_leads_per_user"], by=self.actor)
        return _answer(request, spread, left=count_unowned() if spread.operation is None else 0)


class AutoAssignView(ApiView):
    """Let the assignment rules place leads. Some thousands at once; more become an operation (202).

    `unassigned` are those no rule could place; `skipped` are ids that were left alone, each with a reason: `not_found`,
    `has_owner` or `closed`.
    """

    capabilities: ClassVar[dict[str, str]] = {"post": ASSIGN}
    rate_kind = "bulk"

    @extend_schema(
        request=AutoAssignIn,
        responses={200: output.SPREAD, 202: output.SPREAD},
        tags=["assignments"],
        summary="Assign leads by the rules",
        operation_id="leads_assign",
    )
    def post(self, request: Request) -> Response:
        body = read(AutoAssignIn, request.data)
        selection = Selection(ids=body.get("lead_ids", ()), filters=body.get("filters"))
        if not selection.ids and selection.filters is None:
            selection = Selection(filters={"assigned_to": "none"})
        return _answer(request, place_selection(selection=selection, reason=body["reason"], by=self.actor), named=True)
