"""What people decide about similar leads, the scan, and merging the sure groups at once."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.operations.api import OPERATION, operation_out
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView
from duplicates.enums import ScanState, Verdict
from duplicates.models import Scan
from duplicates.permissions import DECIDE, VIEW
from duplicates.selectors import latest_scan
from duplicates.selectors.certain import LEAST_SURE
from duplicates.services.auto_merge import begin_auto_merge, count_auto_merge
from duplicates.services.deciding import LATER, MOST_LEADS, keep_separate, put_off, take_back
from duplicates.services.scanning import ask_for_scan
from leads.api.inputs import OpaqueIdField

_TAGS = ["duplicates"]
_DECIDED = {"pairs": serializers.IntegerField(help_text="The pairs of leads that this was about")}
_SCAN = {
    "id": serializers.IntegerField(),
    "state": serializers.ChoiceField(ScanState.choices),
    "asked_at": serializers.DateTimeField(),
    "asked_by": serializers.IntegerField(allow_null=True, help_text="Null for the nightly one"),
    "started_at": serializers.DateTimeField(allow_null=True),
    "finished_at": serializers.DateTimeField(allow_null=True),
    "leads": serializers.IntegerField(help_text="Looked through; 0 until it is done, as are the other counts"),
    "pairs_compared": serializers.IntegerField(),
    "similar_pairs": serializers.IntegerField(),
    "groups": serializers.IntegerField(),
    "error": serializers.CharField(allow_null=True),
}
_SURE = {
    "dry_run": serializers.BooleanField(),
    "threshold": serializers.FloatField(),
    "groups": serializers.IntegerField(help_text="Groups that would be merged"),
    "leads": serializers.IntegerField(help_text="Leads that would become part of others"),
}


class DecisionIn(InputSerializer):
    lead_ids = serializers.ListField(child=OpaqueIdField(), min_length=2, max_length=MOST_LEADS)
    decision = serializers.ChoiceField(choices=Verdict.values)


class AutoMergeIn(InputSerializer):
    threshold = serializers.FloatField(
        required=False, min_value=LEAST_SURE, max_value=1, help_text="Similarity from which on; without it the tenant's own setting"
    )
    dry_run = serializers.BooleanField(default=False, help_text="Answer how many groups there are, and change nothing")


class DecisionsView(ApiView):
    """Keep leads separate, or put them off; and take either back."""

    capabilities: ClassVar[dict[str, str]] = {"post": DECIDE, "delete": DECIDE}

    @extend_schema(
        request=DecisionIn,
        summary="Decide about similar leads",
        description=f"`separate`: each of them is another than each, for good. `later`: not offered for {LATER.days} days.",
        tags=_TAGS,
        operation_id="duplicates_decide",
        responses={200: described("DuplicatesDecided", _DECIDED)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = read(DecisionIn, request.data)
        decide = keep_separate if body["decision"] == Verdict.SEPARATE else put_off
        return success(request, {"pairs": decide(lead_ids=body["lead_ids"], by=self.actor)})

    @extend_schema(
        request=DecisionIn,
        summary="Take a decision about similar leads back",
        tags=_TAGS,
        operation_id="duplicates_undecide",
        responses={200: described("DuplicatesDecided", _DECIDED)},
    )
    def delete(self, request: Request, **_: Any) -> Response:
        body = read(DecisionIn, request.data)
        forgotten = take_back(lead_ids=body["lead_ids"], verdict=Verdict(body["decision"]), by=self.actor)
        return success(request, {"pairs": forgotten})


def scan_out(scan: Scan) -> dict[str, Any]:
    return {
        "id": scan.pk,
        "state": scan.state,
        "asked_at": scan.asked_at,
        "asked_by": scan.asked_by_id,
        "started_at": scan.started_at,
        "finished_at": scan.finished_at,
        "leads": scan.leads,
        "pairs_compared": scan.candidates,
        "similar_pairs": scan.pairs,
        "groups": scan.groups,
        "error": scan.error or None,
    }


class ScanView(ApiView):
    """The look through all leads: where the latest stands, and asking for one."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "post": DECIDE}

    @extend_schema(
        summary="The latest look through all leads",
        description="Null where there was none yet.",
        tags=_TAGS,
        operation_id="duplicates_scan_state",
        responses={200: described("DuplicatesScan", _SCAN)},
    )
    def get(self, request: Request, **_: Any) -> Response:
        scan = latest_scan()
        return success(request, scan_out(scan) if scan else None)

    @extend_schema(
        request=None,
        summary="Look through all leads",
        description="Whoever asks while one waits or runs gets that one.",
        tags=_TAGS,
        operation_id="duplicates_scan",
        responses={202: described("DuplicatesScan", _SCAN)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        return success(request, scan_out(ask_for_scan(by=self.actor)), status=202)


class AutoMergeView(ApiView):
    """Merge the sure groups, as one operation."""

    capabilities: ClassVar[dict[str, str]] = {"post": DECIDE}

    @extend_schema(
        request=AutoMergeIn,
        summary="Merge the sure groups",
        description=(
            "Merges each group in which every lead reaches the threshold with the lead that says the most, into that one: tags, notes and "
            "custom fields of all, of every other field its value unless empty. Needs the right to change and to see all leads. "
            "`POST /operations/{id}/undo` takes all of it back at once."
        ),
        tags=_TAGS,
        operation_id="duplicates_auto_merge",
        responses={200: described("AutoMergeCounted", _SURE), 202: described("Operation", OPERATION)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = read(AutoMergeIn, request.data)
        if body["dry_run"]:
            counted, threshold = count_auto_merge(threshold=body.get("threshold"), by=self.actor)
            return success(request, {"dry_run": True, "threshold": threshold, "groups": counted.groups, "leads": counted.leads})
        operation = begin_auto_merge(threshold=body.get("threshold"), by=self.actor)
        return success(request, operation_out(operation), status=202)
