"""Merging leads: S0-10, and taking a merge back."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from duplicates.models import Merge
from duplicates.permissions import DECIDE, VIEW
from duplicates.services.merge_rules import MergeRules
from duplicates.services.merging import MOST_AT_ONCE, Merged, find_merge, merge_leads, preview_merge, undo_merge, visible_kept
from leads.api.inputs import OpaqueIdField
from leads.api.output import lead_out
from leads.permissions import CHANGE
from leads.selectors import leads_visible_to

_TAGS = ["duplicates"]


class RulesIn(InputSerializer):
    combine = serializers.ListField(child=serializers.CharField(max_length=60), required=False, default=list, max_length=40)
    max_value = serializers.ListField(child=serializers.CharField(max_length=60), required=False, default=list, max_length=40)
    prefer_source = serializers.ListField(child=serializers.CharField(max_length=60), required=False, default=list, max_length=40)
    prefer_target = serializers.ListField(child=serializers.CharField(max_length=60), required=False, default=list, max_length=40)


class MergeIn(InputSerializer):
    source_lead_id = OpaqueIdField(required=False)
    source_lead_ids = serializers.ListField(
        child=OpaqueIdField(), required=False, max_length=MOST_AT_ONCE, help_text="Instead of one source: several, merged in this order"
    )
    target_lead_id = OpaqueIdField()
    preview = serializers.BooleanField(default=False, help_text="Answer the lead as it would be, and change nothing")
    merge_rules = RulesIn(required=False)
    values = serializers.DictField(
        child=OpaqueIdField(), required=False, help_text='Field → the lead whose value it takes, before any rule; such as {"email": 456}'
    )


_MERGE = {
    "id": serializers.IntegerField(),
    "source_lead_id": serializers.IntegerField(),
    "target_lead_id": serializers.IntegerField(),
    "merged_at": serializers.DateTimeField(),
    "merged_by": serializers.CharField(),
    "undone_at": serializers.DateTimeField(allow_null=True),
    "operation_id": serializers.IntegerField(allow_null=True, help_text="The operation that merged them, where one did"),
    "kept": serializers.ListField(
        child=serializers.DictField(), help_text="What was changed since and stayed with the target when the merge was taken back"
    ),
}
_MERGED = {
    "merged_lead": serializers.DictField(help_text="The lead, as GET /leads/{id} answers it"),
    "merge_info": component(
        "MergeInfo",
        {
            "source_lead_id": serializers.IntegerField(),
            "source_lead_ids": serializers.ListField(child=serializers.IntegerField()),
            "target_lead_id": serializers.IntegerField(),
            "merged_at": serializers.DateTimeField(allow_null=True),
            "merged_by": serializers.CharField(),
            "merge_rules_applied": serializers.DictField(help_text="The rules as they were given"),
            "rule_by_field": serializers.DictField(help_text="The one rule that each field followed"),
            "merge_ids": serializers.ListField(child=serializers.IntegerField(), help_text="By which each merge can be taken back"),
            "preview": serializers.BooleanField(),
        },
    ),
}
_PARTED = {
    "target_lead": serializers.DictField(),
    "source_lead": serializers.DictField(),
    "kept": serializers.ListField(child=serializers.DictField(), help_text="What was changed since, and stayed with the target"),
}


def merge_out(merge: Merge, by: Actor) -> dict[str, Any]:
    return {
        "id": merge.pk,
        "source_lead_id": merge.loser_id,
        "target_lead_id": merge.winner_id,
        "merged_at": merge.merged_at,
        "merged_by": merge.merged_by_id or "system",
        "undone_at": merge.undone_at,
        "operation_id": merge.operation_id,
        "kept": visible_kept(kept=merge.kept, by=by),
    }


class MergeView(ApiView):
    """S0-10."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=MergeIn,
        summary="Merge leads",
        description=(
            "The source becomes part of the target: values by the rules (`combine` beats `max_value` beats `prefer_source` beats "
            "`prefer_target`; without a rule the target's value wins unless empty), and everything that hangs on the source. The "
            "source's address answers with the target from then on. Scores are computed anew."
        ),
        tags=_TAGS,
        operation_id="leads_merge",
        responses={200: described("LeadsMerged", _MERGED)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = read(MergeIn, request.data)
        sources = body.get("source_lead_ids") or ([body["source_lead_id"]] if "source_lead_id" in body else [])
        if not sources:
            raise InvalidInput({"source_lead_id": ["This field is required."]})
        rules = MergeRules.read(body.get("merge_rules") or {})
        act = preview_merge if body["preview"] else merge_leads
        merged = act(target_id=body["target_lead_id"], source_ids=sources, rules=rules, values=body.get("values"), by=self.actor)
        return success(request, self.answer(merged, sources, rules, preview=body["preview"]))

    def answer(self, merged: Merged, sources: list[int], rules: MergeRules, *, preview: bool) -> dict[str, Any]:
        return {
            "merged_lead": lead_out(merged.lead, by=self.actor),
            "merge_info": {
                "source_lead_id": sources[0],
                "source_lead_ids": sources,
                "target_lead_id": merged.lead.pk,
                "merged_at": merged.merges[0].merged_at if merged.merges else None,
                "merged_by": self.actor.user_id or "system",
                "merge_rules_applied": rules.stored(),
                "rule_by_field": dict(merged.applied),
                "merge_ids": [merge.pk for merge in merged.merges],
                "preview": preview,
            },
        }


class MergesView(ApiView):
    """Merges whose lead the caller sees, the latest first."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        parameters=[
            OpenApiParameter("lead_id", int, description="Of one lead, either side"),
            OpenApiParameter("operation_id", int, description="Of one automatic merge"),
            *PAGE_PARAMETERS,
        ],
        responses={200: described("Merge", _MERGE, many=True)},
        tags=_TAGS,
        summary="List merges",
        operation_id="merges_list",
    )
    def get(self, request: Request) -> Response:
        merges = Merge.objects.filter(winner__in=leads_visible_to(self.actor, with_deleted=True))
        text = request.query_params.get("lead_id", "").strip()
        if text:
            pk = parse_id(text, field="lead_id")
            merges = merges.filter(winner_id=pk) | merges.filter(loser_id=pk)
        text = request.query_params.get("operation_id", "").strip()
        if text:
            merges = merges.filter(operation_id=parse_id(text, field="operation_id"))
        return paged(request, merges, lambda merge: merge_out(merge, self.actor))


class MergeUndoView(ApiView):
    """One merge taken back."""

    capabilities: ClassVar[dict[str, str]] = {"post": DECIDE}

    @extend_schema(
        request=None,
        responses={200: described("MergeUndone", _PARTED)},
        tags=_TAGS,
        summary="Take a merge back",
        operation_id="merge_undo",
    )
    def post(self, request: Request, id: str) -> Response:
        parted = undo_merge(merge_id=find_merge(merge_id=parse_id(id), by=self.actor).pk, by=self.actor)
        data = {
            "target_lead": lead_out(parted.winner, by=self.actor),
            "source_lead": lead_out(parted.loser, by=self.actor),
            "kept": list(parted.kept),
        }
        return success(request, data, message="The merge is taken back")
