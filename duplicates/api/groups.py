"""S0-09: groups of similar leads, with advice."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import whole
from crm.rest.views import ApiView
from duplicates.permissions import VIEW
from duplicates.selectors import Configuration, configuration
from duplicates.selectors.groups import Group, Member, confidence_of, groups_after, totals
from duplicates.selectors.reasons import reasons_for
from leads.selectors import name_of

MOST_GROUPS = 500
AUTO_MERGE, REVIEW = "auto_merge", "review_for_merge"
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}

_LEAD: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "name": serializers.CharField(),
    "company": serializers.CharField(),
    "email": serializers.CharField(allow_null=True),
    "phone": serializers.CharField(allow_null=True),
    "assigned_to": serializers.IntegerField(allow_null=True),
}
_DUPLICATE: dict[str, Any] = {
    **_LEAD,
    "similarity_score": serializers.FloatField(help_text="How probable it is that this is the primary lead once more, 0 to 1."),
    "confidence": serializers.ChoiceField(["high", "medium", "low"]),
    "recommended_action": serializers.ChoiceField([AUTO_MERGE, REVIEW]),
    "reasons": serializers.ListField(child=serializers.CharField()),
}
_GROUP: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "primary_lead": component("DuplicatePrimaryLead", _LEAD),
    "duplicates": component("DuplicateOfLead", _DUPLICATE, many=True),
    "group_size": serializers.IntegerField(),
    "highest_similarity": serializers.FloatField(),
}
_ANSWER: dict[str, Any] = {
    "summary": component(
        "DuplicatesSummary",
        {
            "total_groups": serializers.IntegerField(),
            "total_duplicates": serializers.IntegerField(help_text="Leads beyond one for each group."),
            "highest_similarity": serializers.FloatField(),
            "auto_merge_candidates": serializers.IntegerField(help_text="Groups with a pair at or above auto_merge_threshold."),
            "potential_savings": serializers.IntegerField(help_text="Leads that merging all groups would save."),
        },
    ),
    "duplicate_groups": component("DuplicateGroup", _GROUP, many=True),
    "recommendations": component(
        "DuplicatesRecommendations",
        {
            "high_confidence_merges": serializers.ListField(child=serializers.DictField()),
            "manual_review_required": serializers.ListField(child=serializers.DictField()),
        },
        required=False,
    ),
}


class DuplicatesView(ApiView):
    """What the scans and the checks since have found; nothing is compared on a request."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        operation_id="leads_duplicates",
        summary="Groups of similar leads",
        tags=["leads"],
        parameters=[
            OpenApiParameter(
                "threshold", float, default=0.8, description="Similarity from which on leads count, 0 to 1; below 0.5 nothing is kept"
            ),
            OpenApiParameter("limit", int, default=100, description=f"Groups, at most {MOST_GROUPS}"),
            OpenApiParameter("auto_merge_threshold", float, default=0.95),
            OpenApiParameter("include_suggestions", bool, default=True, description="Add the recommendations"),
            OpenApiParameter("cursor", str, description="As `meta.pagination.nextCursor` answered"),
        ],
        responses={200: described("Duplicates", _ANSWER)},
    )
    def get(self, request: Request, **_: Any) -> Response:
        params = request.query_params
        threshold = share(params, "threshold", default=0.8)
        automatic = share(params, "auto_merge_threshold", default=0.95)
        limit = whole(params, "limit", default=100, least=1, most=MOST_GROUPS)
        suggest = boolean(params, "include_suggestions", default=True)
        wanted = configuration()
        groups, following = groups_after(self.actor, threshold=threshold, cursor=params.get("cursor", ""), limit=limit)
        counted = totals(self.actor, threshold=threshold, certain_from=automatic)
        data: dict[str, Any] = {
            "summary": {
                "total_groups": counted.groups,
                "total_duplicates": counted.duplicates,
                "highest_similarity": round(counted.highest, 4),
                "auto_merge_candidates": counted.certain,
                "potential_savings": counted.duplicates,
            },
            "duplicate_groups": [group_out(group, automatic, wanted) for group in groups],
        }
        if suggest:
            data["recommendations"] = recommendations(groups, automatic, wanted)
        pagination = {"limit": limit, "nextCursor": following, "hasNext": following is not None, "total": counted.groups}
        return success(request, data, pagination=pagination)


def share(params: Any, name: str, *, default: float) -> float:
    """Read a number from 0 to 1 of a query, or refuse it by name."""
    text = str(params.get(name, "") or "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidInput({name: ["Must be a number from 0 to 1."]})
    return value


def boolean(params: Any, name: str, *, default: bool) -> bool:
    text = str(params.get(name, "") or "").strip().lower()
    if text and text not in _TRUE | _FALSE:
        raise InvalidInput({name: ["Must be true or false."]})
    return text in _TRUE if text else default


def lead_out(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": name_of(row),
        "company": row["company"],
        "email": row["email"] or None,
        "phone": row["phone"] or None,
        "assigned_to": row["owner_id"],
    }


def member_out(member: Member, automatic: float, wanted: Configuration) -> dict[str, Any]:
    return {
        **lead_out(member.row),
        "similarity_score": round(member.similarity, 4),
        "confidence": confidence_of(member.similarity),
        "recommended_action": AUTO_MERGE if member.similarity >= automatic else REVIEW,
        "reasons": [reason.text for reason in reasons_for(member.levels, wanted)],
    }


def group_out(group: Group, automatic: float, wanted: Configuration) -> dict[str, Any]:
    return {
        "id": group.id,
        "primary_lead": lead_out(group.primary),
        "duplicates": [member_out(member, automatic, wanted) for member in group.duplicates],
        "group_size": group.size,
        "highest_similarity": round(group.similarity, 4),
    }


def recommendations(groups: list[Group], automatic: float, wanted: Configuration) -> dict[str, Any]:
    """Very likely duplicates to merge without a look, and the groups that somebody should look at."""
    merges, reviews = [], []
    for group in groups:
        certain = [member_out(member, automatic, wanted) for member in group.duplicates if member.similarity >= automatic]
        if certain:
            merges.append({"primary_lead": lead_out(group.primary), "duplicates": certain, "action": "auto_merge_recommended"})
        if len(certain) < len(group.duplicates):
            reviews.append(group_out(group, automatic, wanted))
    return {"high_confidence_merges": merges, "manual_review_required": reviews}
