"""Many leads at once: S0-07, S0-08, and what they would come to. Selected by ids or by the list's own filters."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.operations import runner
from crm.operations.api import OPERATION, error_out, operation_out
from crm.operations.enums import RowOutcome
from crm.operations.models import Operation
from crm.operations.selectors import rows_after
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView
from leads.api.inputs import LeadUpdate, named_for_services
from leads.permissions import CHANGE, DELETE
from leads.services.bulk import Preview, Selection, bulk_delete, bulk_edit, bulk_restore, count_selected, preview_edit

_TAGS = ["bulk"]
# So many are answered at once; more run as an operation (decision C49).
AT_ONCE = 1000
_ERRORS_SHOWN = 1000


class SelectionIn(InputSerializer):
    """The leads meant: their ids, or the filters of a list."""

    lead_ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=100_000)
    filters = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=20_000), required=False, help_text="As the list of leads takes them"
    )
    except_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=10_000,
        help_text="Left out of `filters`",
    )

    def selection(self) -> Selection:
        values = self.validated_data
        if values.get("lead_ids") and values.get("filters") is not None:
            raise InvalidInput({"filters": ["Give lead_ids or filters, not both."]})
        return Selection(ids=values.get("lead_ids", ()), filters=values.get("filters"), without=values.get("except_ids", ()))


class UpdatesIn(LeadUpdate):
    """What many leads are to hold: the fields of one lead, and tags to add or take away."""

    add_tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False, max_length=50)
    remove_tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False, max_length=50)


class UpdateOptionsIn(InputSerializer):
    skip_validation = serializers.BooleanField(default=False, help_text="Past the allowed moves of statuses; needs the permission")
    recalculate_scores = serializers.BooleanField(default=True)
    dry_run = serializers.BooleanField(default=False, help_text="Count what it would come to, and change nothing")


class BulkUpdateIn(SelectionIn):
    updates = UpdatesIn()
    options = UpdateOptionsIn(required=False)


class DeleteOptionsIn(InputSerializer):
    hard_delete = serializers.BooleanField(default=False, help_text="For good instead of into the bin; needs the permission")
    reason = serializers.CharField(default="", allow_blank=True, max_length=500)
    dry_run = serializers.BooleanField(default=False)


class BulkDeleteIn(SelectionIn):
    options = DeleteOptionsIn(required=False)


class BulkRestoreIn(InputSerializer):
    lead_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), allow_empty=False, max_length=100_000
    )


_ERROR = {
    "row": serializers.IntegerField(help_text="Place among the leads, from 1"),
    "field": serializers.CharField(allow_null=True),
    "message": serializers.CharField(),
    "values": serializers.DictField(),
    "record_id": serializers.IntegerField(allow_null=True),
}
_DONE = described(
    "BulkDone",
    {
        "total_processed": serializers.IntegerField(),
        "successful": serializers.IntegerField(),
        "unchanged": serializers.IntegerField(),
        "failed": serializers.IntegerField(),
        "errors": component("BulkError", _ERROR, many=True),
        "operation_id": serializers.IntegerField(help_text="By which it can be seen and taken back"),
    },
)
_PREVIEW = {
    "dry_run": serializers.BooleanField(),
    "matched": serializers.IntegerField(),
    "would_change": serializers.IntegerField(),
    "unchanged": serializers.IntegerField(),
    "refused": serializers.IntegerField(),
    "reasons": serializers.DictField(child=serializers.IntegerField()),
}
_ANSWERS = {200: _DONE, 202: described("Operation", OPERATION)}


def bulk_answer(request: Request, operation: Operation, *, selected: int) -> Response:
    """A short operation is run within this request's transaction, so that the answer is of what was done."""
    if selected > AT_ONCE:
        return success(request, operation_out(operation), status=202)
    runner.run_inline(operation)
    rows, _next = rows_after(operation, outcome=RowOutcome.FAILED, limit=_ERRORS_SHOWN)
    data = {
        "total_processed": operation.done,
        "successful": operation.updated,
        "unchanged": operation.skipped,
        "failed": operation.failed,
        "errors": [error_out(row) for row in rows],
        "operation_id": operation.pk,
    }
    return success(request, data)


def _preview_out(preview: Preview) -> dict[str, Any]:
    return {
        "dry_run": True,
        "matched": preview.matched,
        "would_change": preview.changed,
        "unchanged": preview.unchanged,
        "refused": preview.refused,
        "reasons": preview.reasons,
    }


class BulkUpdateView(ApiView):
    """S0-07."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkUpdateIn,
        summary="Change many leads",
        description="An undoable operation. With `dry_run` the counts of what it would come to.",
        tags=_TAGS,
        operation_id="leads_bulk_update",
        responses=_ANSWERS,
    )
    def put(self, request: Request, **_: Any) -> Response:
        given = BulkUpdateIn(data=request.data)
        given.is_valid(raise_exception=True)
        values, options, selection = (
            named_for_services(given.validated_data["updates"]),
            given.validated_data.get("options") or {},
            given.selection(),
        )
        skip = options.get("skip_validation", False)
        if options.get("dry_run"):
            return success(request, _preview_out(preview_edit(selection=selection, updates=values, skip_rules=skip, by=self.actor)))
        rescore = options.get("recalculate_scores", True)
        operation = bulk_edit(selection=selection, updates=values, skip_rules=skip, rescore=rescore, by=self.actor)
        return bulk_answer(request, operation, selected=operation.total or 0)


class BulkDeleteView(ApiView):
    """S0-08."""

    capabilities: ClassVar[dict[str, str]] = {"delete": DELETE, "post": DELETE}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkDeleteIn,
        summary="Delete many leads",
        description="Into the bin as an undoable operation, or for good. POST does the same, for clients whose DELETE carries no body.",
        tags=_TAGS,
        operation_id="leads_bulk_delete",
        responses=_ANSWERS,
    )
    def delete(self, request: Request, **_: Any) -> Response:
        given = BulkDeleteIn(data=request.data)
        given.is_valid(raise_exception=True)
        options, selection = given.validated_data.get("options") or {}, given.selection()
        if options.get("dry_run"):
            return success(request, _preview_out(Preview(matched=count_selected(selection=selection, by=self.actor))))
        operation = bulk_delete(
            selection=selection, for_good=options.get("hard_delete", False), reason=options.get("reason", ""), by=self.actor
        )
        return bulk_answer(request, operation, selected=operation.total or 0)

    @extend_schema(request=BulkDeleteIn, summary="Delete many leads", tags=_TAGS, operation_id="leads_bulk_delete_post", responses=_ANSWERS)
    def post(self, request: Request, **_: Any) -> Response:
        return self.delete(request)


class BulkRestoreView(ApiView):
    """Out of the bin again."""

    capabilities: ClassVar[dict[str, str]] = {"post": DELETE}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkRestoreIn,
        summary="Restore many deleted leads",
        tags=_TAGS,
        operation_id="leads_bulk_restore",
        responses=_ANSWERS,
    )
    def post(self, request: Request, **_: Any) -> Response:
        ids = read(BulkRestoreIn, request.data)["lead_ids"]
        return bulk_answer(request, bulk_restore(ids=ids, by=self.actor), selected=len(ids))
