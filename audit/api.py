"""Endpoints of the audit log (S4-289), and of taking operations back."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.selectors import LogEntry, LogPosition, known_models, log_before
from audit.services.undo import undo_operation
from crm.errors import InvalidInput
from crm.operations.api import OPERATION, OneOperationView, operation_out
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import whole
from crm.rest.views import ApiView, parse_id

_ENTRY: dict[str, Any] = {
    "id": serializers.CharField(),
    "at": serializers.DateTimeField(),
    "actor": serializers.CharField(),
    "user_id": serializers.IntegerField(allow_null=True),
    "door": serializers.CharField(),
    "action": serializers.CharField(),
    "model": serializers.CharField(),
    "record_id": serializers.IntegerField(allow_null=True),
    "subject": serializers.CharField(),
    "details": serializers.DictField(),
}


def entry_out(entry: LogEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "user_id": entry.user_id,
        "door": entry.door,
        "action": entry.what,
        "model": entry.model,
        "record_id": entry.record_id,
        "subject": entry.subject,
        "details": {**entry.details, **({"fields": list(entry.fields)} if entry.fields else {})},
    }


class LogsView(ApiView):
    """Changes of records and acts that changed none, newest first, by the time of the last one read."""

    capabilities: ClassVar[dict[str, str]] = {"get": "audit.view_auditevent"}

    @extend_schema(
        parameters=[
            OpenApiParameter("model", str, description="Such as leads.lead; `audit.auditevent` for sign-ins and exports"),
            OpenApiParameter("user_id", int),
            OpenApiParameter("before", str, description="As `meta.pagination.nextCursor` answered, or a time"),
            OpenApiParameter("limit", int, description="Entries, at most 200"),
        ],
        responses={200: described("AuditEntry", _ENTRY, many=True)},
        tags=["audit"],
        summary="List audit entries",
        operation_id="audit_logs_list",
    )
    def get(self, request: Request) -> Response:
        params = request.query_params
        limit = whole(params, "limit", default=50, least=1, most=200)
        model = params.get("model", "").strip().lower()
        if model and model not in known_models():
            raise InvalidInput({"model": [f"Must be one of {', '.join(sorted(known_models()))}."]})
        user_id = parse_id(params["user_id"], field="user_id") if params.get("user_id", "").strip() else None
        entries, following = log_before(before=read_position(params.get("before", "")), model=model, user_id=user_id, most=limit)
        cursor = str(following) if following else None
        pagination = {"limit": limit, "nextCursor": cursor, "hasNext": cursor is not None}
        return success(request, [entry_out(entry) for entry in entries], pagination=pagination)


def read_position(text: str) -> LogPosition | None:
    """Where the last page ended, or 400."""
    if not text.strip():
        return None
    position = LogPosition.read(text)
    if position is None:
        raise InvalidInput({"before": ["Must be a time such as 2026-01-31T09:00:00Z, or the cursor of the last page."]})
    return position


class UndoView(OneOperationView):
    """Take back what an operation did. What was changed since stays, and is listed by the new operation."""

    @extend_schema(
        request=None,
        responses={202: described("Operation", OPERATION)},
        tags=["operations"],
        summary="Take an operation back",
        operation_id="operations_undo",
    )
    def post(self, request: Request, id: str) -> Response:
        undo = undo_operation(operation=self.operation(id), by=self.actor)
        return success(request, operation_out(undo), status=202)
