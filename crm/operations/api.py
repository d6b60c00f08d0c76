"""Endpoints of long work: where it stands, what failed, and how to stop it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput, NotFound
from crm.operations.enums import RowOutcome, State
from crm.operations.models import Operation, OperationRow
from crm.operations.selectors import operations_visible_to, rows_after, rows_seen_by
from crm.operations.services import cancel_operation
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged, whole
from crm.rest.views import ApiView, parse_id

_TAGS = ["operations"]
_COUNTERS = ("done", "created", "updated", "skipped", "failed")
OPERATION: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "kind": serializers.CharField(),
    "title": serializers.CharField(),
    "state": serializers.ChoiceField(State.choices),
    "progress": serializers.IntegerField(allow_null=True, help_text="Percent; null while the total is unknown."),
    "total": serializers.IntegerField(allow_null=True),
    "counters": component("OperationCounters", {name: serializers.IntegerField() for name in _COUNTERS}),
    "rate": serializers.FloatField(help_text="Rows a second."),
    "time_left": serializers.IntegerField(allow_null=True, help_text="Seconds, estimated."),
    "result": serializers.DictField(),
    "error": serializers.CharField(allow_null=True),
    "undo_of": serializers.IntegerField(allow_null=True, help_text="The operation that this one takes back."),
    "created_by": serializers.IntegerField(allow_null=True),
    "created_at": serializers.DateTimeField(),
    "started_at": serializers.DateTimeField(allow_null=True),
    "finished_at": serializers.DateTimeField(allow_null=True),
}
_ERROR: dict[str, Any] = {
    "row": serializers.IntegerField(),
    "field": serializers.CharField(allow_null=True),
    "message": serializers.CharField(),
    "values": serializers.DictField(),
    "record_id": serializers.IntegerField(allow_null=True, help_text="The record that was in the way of a skipped row."),
}


def operation_out(operation: Operation) -> dict[str, Any]:
    left = operation.time_left
    return {
        "id": operation.pk,
        "kind": operation.kind,
        "title": operation.title,
        "state": operation.state,
        "progress": operation.percent,
        "total": operation.total,
        "counters": {name: getattr(operation, name) for name in _COUNTERS},
        "rate": operation.rate,
        "time_left": int(left.total_seconds()) if left is not None else None,
        "result": operation.result,
        "error": operation.error or None,
        "undo_of": operation.undo_of_id,
        "created_by": operation.created_by_id,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "finished_at": operation.finished_at,
    }


def error_out(error: OperationRow) -> dict[str, Any]:
    return {"row": error.row, "field": error.field or None, "message": error.message, "values": error.values, "record_id": error.record_id}


class OperationsView(ApiView):
    """The caller's operations, or all of the tenant's with the permission."""

    @extend_schema(
        parameters=[OpenApiParameter("state", str, enum=State.values), *PAGE_PARAMETERS],
        responses={200: described("Operation", OPERATION, many=True)},
        tags=_TAGS,
        summary="List operations",
        operation_id="operations_list",
    )
    def get(self, request: Request) -> Response:
        operations = operations_visible_to(self.actor)
        state = request.query_params.get("state", "").strip().lower()
        if state:
            operations = operations.filter(state=state) if state in State.values else operations.none()
        return paged(request, operations, operation_out)


class OneOperationView(ApiView):
    """Base of views on one operation."""

    def operation(self, id: str) -> Operation:
        operation = operations_visible_to(self.actor).filter(pk=parse_id(id)).first()
        if operation is None:
            raise NotFound("No such operation.")
        return operation


class OperationView(OneOperationView):
    """Where one operation stands."""

    @extend_schema(responses={200: described("Operation", OPERATION)}, tags=_TAGS, summary="Read an operation")
    def get(self, request: Request, id: str) -> Response:
        return success(request, operation_out(self.operation(id)))


class OperationErrorsView(OneOperationView):
    """The rows that failed, or that were skipped."""

    @extend_schema(
        parameters=[
            OpenApiParameter("cursor", str, description="As `meta.pagination.nextCursor` answered"),
            OpenApiParameter("limit", int, description="Rows, at most 200"),
        ],
        responses={200: described("OperationError", _ERROR, many=True)},
        tags=_TAGS,
        summary="List an operation's failed rows",
    )
    def get(self, request: Request, id: str) -> Response:
        operation = self.operation(id)
        limit = whole(request.query_params, "limit", default=50, least=1, most=200)
        wanted = request.query_params.get("outcome") or RowOutcome.FAILED
        if wanted not in RowOutcome.values:
            raise InvalidInput({"outcome": [f"Must be one of {', '.join(RowOutcome.values)}."]})
        outcome = RowOutcome(wanted)
        errors, cursor = rows_after(operation, outcome=outcome, cursor=request.query_params.get("cursor", ""), limit=limit)
        pagination = {"limit": limit, "total": getattr(operation, outcome), "nextCursor": cursor, "hasNext": cursor is not None}
        return success(request, [error_out(error) for error in rows_seen_by(self.actor, operation, errors)], pagination=pagination)


class CancelView(OneOperationView):
    """Stop an operation after the chunk in progress."""

    @extend_schema(request=None, responses={200: described("Operation", OPERATION)}, tags=_TAGS, summary="Stop an operation")
    def post(self, request: Request, id: str) -> Response:
        return success(request, operation_out(cancel_operation(operation=self.operation(id), by=self.actor)))
