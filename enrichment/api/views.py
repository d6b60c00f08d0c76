"""S0-14 and S4-050: enrich leads; and what is known of one lead from where."""

from functools import partial
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.operations.api import OPERATION, operation_out
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from enrichment.enums import DOCUMENTED
from enrichment.permissions import ENRICH
from enrichment.selectors import enrichment_of
from enrichment.services.bulk import MOST_IDS, start_enrichment
from enrichment.services.enriching import Enriching, LeadResult, Options, begin_enrichment, documented, finish_enrichment
from leads.permissions import VIEW
from leads.services.editing import find_lead

# So many are answered at once; more run as an operation.
AT_ONCE = 100
_TAGS = ["leads"]


class EnrichOptionsIn(InputSerializer):
    max_concurrent = serializers.IntegerField(default=5, min_value=1, max_value=20)
    skip_if_recently_enriched = serializers.BooleanField(default=True)
    enrichment_cache_hours = serializers.FloatField(default=24, min_value=0, max_value=8760)


class EnrichIn(InputSerializer):
    lead_ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=MOST_IDS)
    filters = serializers.DictField(
        child=serializers.CharField(allow_blank=True), required=False, help_text="Instead of ids: the list's filters"
    )
    options = EnrichOptionsIn(required=False)


_DATA = {name: serializers.CharField() for name in DOCUMENTED}
_RESULT = {
    "lead_id": serializers.IntegerField(),
    "success": serializers.BooleanField(),
    "skipped": serializers.BooleanField(),
    "reason": serializers.CharField(help_text="Why it was skipped, or failed"),
    "enriched_data": component("EnrichedData", _DATA),
    "fields_enriched": serializers.IntegerField(),
    "fields_written": serializers.ListField(child=serializers.CharField(), help_text="Fields of the lead that were filled"),
}
_SUMMARY = ("total_requested", "leads_found", "successful_enrichments", "skipped", "failed", "total_fields_enriched")
_SOURCE = {
    "field": serializers.CharField(),
    "value": serializers.CharField(),
    "confidence": serializers.FloatField(),
    "provider": serializers.CharField(),
    "found_at": serializers.DateTimeField(),
    "in_use": serializers.BooleanField(help_text="The lead itself holds this value because of it"),
}


def result_out(result: LeadResult) -> dict[str, Any]:
    return {
        "lead_id": result.lead_id,
        "success": result.success,
        "skipped": result.skipped,
        "reason": result.reason,
        "enriched_data": documented(result.data),
        "fields_enriched": result.fields,
        "fields_written": result.written,
    }


class EnrichView(ApiView):
    """Enrich leads by their ids; many, or those of a list, as an operation."""

    capabilities: ClassVar[dict[str, str]] = {"post": ENRICH}
    rate_kind = "bulk"

    def run(self, handler: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        """In two transactions where leads are enriched at once: one finds out what to ask, one writes. Others are asked between them."""
        answer = super().run(handler, request, *args, **kwargs)
        if not isinstance(answer, Enriching):
            return answer
        answer.fetch()
        return super().run(partial(self.finish, answer), request, *args, **kwargs)

    @extend_schema(
        request=EnrichIn,
        summary="Enrich leads",
        tags=_TAGS,
        operation_id="leads_enrich",
        responses={
            200: described(
                "Enriched",
                {
                    "summary": component("EnrichSummary", {name: serializers.IntegerField() for name in _SUMMARY}),
                    "detailed_results": component("EnrichResult", _RESULT, many=True),
                },
            ),
            202: described("Operation", OPERATION),
        },
    )
    def post(self, request: Request, **_: Any) -> Response | Enriching:
        body = read(EnrichIn, request.data)
        given = body.get("options") or {}
        options = Options(
            max_concurrent=given.get("max_concurrent", 5),
            skip_recent=given.get("skip_if_recently_enriched", True),
            cache_hours=given.get("enrichment_cache_hours", 24),
        )
        ids, filters = body.get("lead_ids"), body.get("filters")
        if bool(ids) == (filters is not None):
            raise InvalidInput({"lead_ids": ["Name at least one lead." if filters is None else "Give ids or filters, not both."]})
        if filters is not None or len(ids) > AT_ONCE:
            operation = start_enrichment(ids=ids or (), filters=filters, options=options, by=self.actor)
            return success(request, operation_out(operation), status=202)
        return begin_enrichment(lead_ids=ids, options=options, by=self.actor)

    def finish(self, begun: Enriching, request: Request, **_: Any) -> Response:
        results = finish_enrichment(begun=begun, by=self.actor)
        there = [result for result in results if result.success or result.reason != "Lead not found."]
        summary = {
            "total_requested": len(begun.ids),
            "leads_found": len(there),
            "successful_enrichments": sum(result.success and not result.skipped for result in results),
            "skipped": sum(result.skipped for result in results),
            "failed": sum(not result.success for result in results),
            "total_fields_enriched": sum(result.fields for result in results),
        }
        return success(request, {"summary": summary, "detailed_results": [result_out(result) for result in results]})


class LeadEnrichmentView(ApiView):
    """What was found about a lead: each value with its provider, how sure it is, and when."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Read what was found about a lead",
        tags=_TAGS,
        operation_id="leads_enrichment",
        responses={
            200: described(
                "LeadEnrichment",
                {
                    "enriched_at": serializers.DateTimeField(allow_null=True),
                    "outcome": serializers.CharField(allow_null=True),
                    "error": serializers.CharField(allow_null=True),
                    "fields": component("FoundField", _SOURCE, many=True),
                },
            )
        },
    )
    def get(self, request: Request, id: str, **_: Any) -> Response:
        enrichment, known = enrichment_of(find_lead(lead_id=parse_id(id), by=self.actor))
        fields = [
            {
                "field": item.field,
                "value": item.source.value,
                "confidence": item.source.confidence,
                "provider": item.source.provider,
                "found_at": item.source.found_at,
                "in_use": item.in_use,
            }
            for item in known
        ]
        told = {
            "enriched_at": enrichment.enriched_at if enrichment else None,
            "outcome": (enrichment.outcome if enrichment else None) or None,
            "error": (enrichment.error if enrichment else None) or None,
        }
        return success(request, {**told, "fields": fields})
