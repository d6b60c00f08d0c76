"""Bringing in many leads: S0-06 by a JSON list, and files of any size by the steps of the wizard."""

from typing import Any, ClassVar

import orjson
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.operations import runner
from crm.operations.api import OPERATION, operation_out
from crm.operations.enums import State
from crm.operations.models import Operation, OperationRow
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.parsers import JSONParser
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from leads.permissions import IMPORT
from leads.services.import_rows import ImportOptions
from leads.services.imports import check_import, configure_import, draft_import, import_list, run_import
from leads.services.mending import find_import
from leads.services.upsert import MatchBy, OnDuplicate

_TAGS = ["imports"]
# So many are answered at once; longer lists run as an operation (decision C49).
AT_ONCE = 1000
MOST_LISTED = 100_000


class BulkOptionsIn(InputSerializer):
    skip_duplicates = serializers.BooleanField(default=False, help_text="Pass over leads that are there already")
    merge_duplicates = serializers.BooleanField(default=False, help_text="Fill their empty fields and add their tags instead")
    auto_enrich = serializers.BooleanField(default=False, help_text="Have the new leads enriched, in the background")
    batch_size = serializers.IntegerField(default=100, min_value=1, max_value=10_000, help_text="Read; the engine sizes its own batches")


class BulkImportIn(InputSerializer):
    leads = serializers.ListField(child=serializers.DictField(), allow_empty=False, max_length=MOST_LISTED)
    options = BulkOptionsIn(required=False)


_ROW_ERROR = {
    "index": serializers.IntegerField(help_text="Place in the list, from 0"),
    "field": serializers.CharField(allow_null=True),
    "error": serializers.CharField(),
    "lead": serializers.DictField(),
}


class BulkImportView(ApiView):
    """S0-06. With neither option a lead that is there already is a failed row, as `POST /leads` refuses it."""

    capabilities: ClassVar[dict[str, str]] = {"post": IMPORT}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkImportIn,
        summary="Import a list of leads",
        tags=_TAGS,
        operation_id="leads_bulk_import",
        responses={
            200: described(
                "BulkImported",
                {
                    "total_processed": serializers.IntegerField(),
                    "successful": serializers.IntegerField(),
                    "failed": serializers.IntegerField(),
                    "duplicates_found": serializers.IntegerField(),
                    "enrichment_attempted": serializers.IntegerField(),
                    "enrichment_successful": serializers.IntegerField(),
                    "success_rate": serializers.CharField(help_text="Percent with two decimals"),
                    "enrichment_rate": serializers.CharField(),
                    "errors": component("BulkRowError", _ROW_ERROR, many=True),
                    "operation_id": serializers.IntegerField(),
                },
            ),
            202: described("Operation", OPERATION),
        },
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = read(BulkImportIn, request.data)
        options = body.get("options") or {}
        how = OnDuplicate.UPDATE if options.get("merge_duplicates") else OnDuplicate.REFUSE
        how = OnDuplicate.SKIP if options.get("skip_duplicates") else how
        operation = import_list(
            rows=body["leads"],
            options=ImportOptions(on_duplicate=how, keep_existing=True, enrich=options.get("auto_enrich", False)),
            title="list of leads",
            by=self.actor,
        )
        if len(body["leads"]) > AT_ONCE:
            return success(request, operation_out(operation), status=202)
        # Within this request's transaction: the answer is of what was done.
        runner.run_inline(operation)
        return success(request, bulk_out(operation))


def bulk_out(operation: Operation) -> dict[str, Any]:
    """An import's counters as document 0 answers them. A lead that was passed over was processed well."""
    done = operation.done
    rows = OperationRow.objects.filter(operation=operation, outcome="failed")
    duplicates = [row for row in rows if "already exists" in row.message]
    good = done - operation.failed
    return {
        "total_processed": done,
        "successful": good,
        "failed": operation.failed,
        "duplicates_found": operation.updated + operation.skipped + len(duplicates),
        # Enrichment follows in the background, so that none has succeeded yet.
        "enrichment_attempted": operation.created if operation.params.get("enrich") else 0,
        "enrichment_successful": 0,
        "success_rate": f"{good / done * 100 if done else 0:.2f}",
        "enrichment_rate": "0.00",
        "errors": [
            {
                "index": row.row - 2,
                "field": row.field or None,
                "error": row.message,
                "lead": {key: value for key, value in row.values.items() if key != "#" and value},
            }
            for row in rows
        ],
        "operation_id": operation.pk,
    }


# --- files ---


class OptionsIn(InputSerializer):
    on_duplicate = serializers.ChoiceField(list(OnDuplicate), default=OnDuplicate.SKIP)
    match_by = serializers.ChoiceField(list(MatchBy), default=MatchBy.ANY)
    keep_existing = serializers.BooleanField(default=False, help_text="An update fills empty fields only")
    lead_source = serializers.CharField(default="", allow_blank=True, max_length=60)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), default=list, max_length=50)
    owner_id = serializers.IntegerField(default=None, allow_null=True, min_value=1, max_value=2**63 - 1)
    enrich = serializers.BooleanField(default=False, help_text="Have the new leads enriched, in the background")


class ImportIn(InputSerializer):
    mapping = serializers.DictField(child=serializers.CharField(allow_blank=True, max_length=120), required=False)
    options = OptionsIn(required=False)
    edits = serializers.DictField(
        child=serializers.DictField(child=serializers.CharField(allow_blank=True), allow_null=True),
        required=False,
        help_text="Row number → cells by header, or null to leave the row out",
    )


class UploadIn(serializers.Serializer[Any]):
    """The parts of the multipart body; `settings` is the JSON of an ImportIn."""

    file = serializers.FileField()
    sheet = serializers.CharField(required=False, help_text="Of a workbook; the first unless named")
    settings = serializers.CharField(required=False)
    start = serializers.BooleanField(required=False, help_text="Start at once; else the import waits as a draft")


IMPORT_DRAFT: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "title": serializers.CharField(),
    "state": serializers.ChoiceField(State.choices),
    "headers": serializers.ListField(child=serializers.CharField()),
    "samples": serializers.ListField(child=serializers.ListField(child=serializers.CharField())),
    "encoding": serializers.CharField(),
    "delimiter": serializers.CharField(),
    "mapping": serializers.DictField(),
    "options": serializers.DictField(),
    "edited_rows": serializers.IntegerField(),
}


def draft_out(operation: Operation) -> dict[str, Any]:
    params = operation.params
    layout = params["layout"]
    return {
        "id": operation.pk,
        "title": operation.title,
        "state": operation.state,
        **{name: layout[name] for name in ("headers", "samples", "encoding", "delimiter")},
        "mapping": params["mapping"],
        "options": ImportOptions.read(params).stored(),
        "edited_rows": len(params["edits"]),
    }


class ImportBase(ApiView):
    """Base of views on imports: one's own, while they are drafts."""

    rate_kind = "bulk"

    def draft(self, id: str) -> Operation:
        return find_import(operation_id=parse_id(id), lock=self.request.method != "GET", by=self.actor)

    def configured(self, operation: Operation, data: Any) -> Operation:
        body = read(ImportIn, data)
        options = body.get("options")
        return configure_import(
            operation=operation,
            mapping=body.get("mapping"),
            options=ImportOptions(
                **{**options, "on_duplicate": OnDuplicate(options["on_duplicate"]), "match_by": MatchBy(options["match_by"])}
            )
            if options is not None
            else None,
            edits=body.get("edits"),
            by=self.actor,
        )


class ImportsView(ImportBase):
    """Upload a CSV or XLSX file of any size."""

    capabilities: ClassVar[dict[str, str]] = {"post": IMPORT}
    parser_classes: ClassVar[list[type]] = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": UploadIn},
        responses={201: described("ImportDraft", IMPORT_DRAFT), 202: described("Operation", OPERATION)},
        summary="Upload a file of leads",
        tags=_TAGS,
        operation_id="imports_create",
    )
    def post(self, request: Request, **_: Any) -> Response:
        file = request.data.get("file")
        if file is None or isinstance(file, str):
            raise InvalidInput({"file": ["Send the file as a part of a multipart body."]})
        try:
            settings = orjson.loads(request.data.get("settings") or "{}")
        except orjson.JSONDecodeError as error:
            raise InvalidInput({"settings": [f"Not valid JSON: {error}"]}) from None
        sheet = str(request.data.get("sheet") or "")[:200]
        operation = self.configured(draft_import(file=file, sheet=sheet, by=self.actor), settings)
        if str(request.data.get("start", "")).lower() in ("true", "1", "yes", "on"):
            return success(request, operation_out(run_import(operation=operation, by=self.actor)), status=202)
        return success(request, draft_out(operation), status=201)


class ImportView(ImportBase):
    """One import that is being put together."""

    capabilities: ClassVar[dict[str, str]] = {"get": IMPORT, "patch": IMPORT}
    parser_classes: ClassVar[list[type]] = [JSONParser]

    @extend_schema(
        responses={200: described("ImportDraft", IMPORT_DRAFT)}, summary="Read an import's draft", tags=_TAGS, operation_id="imports_read"
    )
    def get(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, draft_out(self.draft(id)))

    @extend_schema(
        request=ImportIn,
        responses={200: described("ImportDraft", IMPORT_DRAFT)},
        summary="Set mapping, options or mended rows",
        tags=_TAGS,
        operation_id="imports_update",
    )
    def patch(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, draft_out(self.configured(self.draft(id), request.data)))


class ImportCheckView(ImportBase):
    """Try an import out: an operation with the totals it would come to. Nothing is written."""

    capabilities: ClassVar[dict[str, str]] = {"post": IMPORT}

    @extend_schema(
        request=None,
        responses={202: described("Operation", OPERATION)},
        summary="Try an import out",
        tags=_TAGS,
        operation_id="imports_check",
    )
    def post(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, operation_out(check_import(operation=self.draft(id), by=self.actor)), status=202)


class ImportRunView(ImportBase):
    """Start an import; it goes on as an operation."""

    capabilities: ClassVar[dict[str, str]] = {"post": IMPORT}

    @extend_schema(
        request=None, responses={202: described("Operation", OPERATION)}, summary="Start an import", tags=_TAGS, operation_id="imports_run"
    )
    def post(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, operation_out(run_import(operation=self.draft(id), by=self.actor)), status=202)
