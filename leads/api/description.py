"""The lead endpoints' answers, for the API's description."""

from typing import Any

from rest_framework import serializers

from crm.rest.description import component, described
from leads.enums import Platform, Priority
from leads.filters import offered_filters


def _text(**options: Any) -> serializers.CharField:
    return serializers.CharField(**options)


def _number(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(**options)


def _moment() -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=True)


LISTED: dict[str, Any] = {
    "id": _number(),
    "entity_id": _number(help_text="The tenant"),
    "name": _text(allow_null=True),
    "full_name": _text(),
    "first_name": _text(),
    "last_name": _text(),
    "company": _text(),
    "email": _text(allow_null=True),
    "phone": _text(allow_null=True, help_text="E.164 where it could be read"),
    "title": _text(),
    "industry": _text(),
    "company_size": _text(),
    "status": _text(help_text="The code, such as meeting_scheduled"),
    "status_label": _text(),
    "lost_reason": _text(allow_null=True),
    "priority": serializers.ChoiceField([str(priority.label) for priority in Priority]),
    "lead_source": _text(),
    "platform_key": _text(help_text=f"One of {', '.join(Platform.values)}"),
    "score": _number(min_value=0, max_value=100),
    "quality_grade": serializers.ChoiceField(["A", "B", "C", "D"]),
    "lifecycle_stage": _text(),
    "conversion_probability": serializers.FloatField(allow_null=True, min_value=0, max_value=1),
    "tags": serializers.ListField(child=_text()),
    "assigned_to": _number(allow_null=True),
    "assigned_user_id": _number(allow_null=True),
    "assigned_to_name": _text(allow_null=True),
    "created_at": serializers.DateTimeField(),
    "updated_at": serializers.DateTimeField(),
    "last_contact": _moment(),
    "next_follow_up": _moment(),
    "days_since_creation": _number(),
    "days_since_last_contact": _number(allow_null=True),
    "next_action_recommended": serializers.DictField(allow_null=True),
    "deleted_at": _moment(),
}
WHOLE: dict[str, Any] = {
    **LISTED,
    "website": _text(),
    "notes": _text(),
    "address": component("LeadAddress", {"city": _text(), "state": _text(), "country": _text()}),
    "custom_fields": serializers.DictField(),
    "source_page_id": _text(allow_null=True),
    "source_page_name": _text(allow_null=True),
    "raw_field_data": serializers.DictField(),
    "consent_time": _moment(),
    "assigned_at": _moment(),
    "status_changed_at": serializers.DateTimeField(),
    "created_by": _text(help_text="A user's id, or system"),
    "created_via": _text(),
}
_ENTRY = {
    "id": _text(),
    "activity_type": _text(),
    "timestamp": serializers.DateTimeField(),
    "description": _text(),
    "category": _text(),
    "user_id": _text(help_text="A user's id, or system"),
    "time_ago": _text(),
    "data": serializers.DictField(required=False),
}
_DUPLICATE = {
    "id": _number(),
    "similarity_score": serializers.FloatField(),
    "name": _text(),
    "company": _text(),
    "matched_on": serializers.ListField(child=_text()),
}
_PAGES = {
    "current_page": _number(),
    "per_page": _number(),
    "total_items": _number(),
    "total_pages": _number(),
    "has_next": serializers.BooleanField(),
    "has_previous": serializers.BooleanField(),
}


class OfferedFilters(serializers.Serializer[Any]):
    """The filters that higher apps offer: these come after the lead's own, so they are looked up when the description is made."""

    def get_fields(self) -> dict[str, Any]:
        return {name: _text(required=False, help_text=str(rule.label)) for name, rule in offered_filters().items()}


LEADS = described(
    "LeadPage",
    {
        "leads": component("ListedLead", LISTED, many=True),
        "pagination": component("LeadPages", _PAGES, required=False, help_text="Not on a cursor page"),
        "filters_applied": serializers.DictField(),
    },
)
LEAD_ROWS = described("ListedLead", LISTED, many=True)
LEAD = described(
    "LeadDetail",
    {
        **WHOLE,
        "lead": component("Lead", WHOLE),
        "timeline": component("TimelineEntry", _ENTRY, many=True),
        "potential_duplicates": component("PossibleDuplicate", _DUPLICATE, many=True),
    },
)
CREATED = described(
    "CreatedLead",
    {
        "lead": component("Lead", WHOLE),
        "enrichment_status": _text(),
        "duplicate_check": component(
            "DuplicateCheck",
            {"performed": serializers.BooleanField(), "duplicates_found": _number(), "ignored": serializers.BooleanField()},
        ),
        "warnings": serializers.ListField(child=_text()),
    },
    message=True,
)
CHANGED = described(
    "ChangedLead",
    {
        "lead": component("Lead", WHOLE),
        "changes_applied": component(
            "ChangesApplied",
            {
                "fields_updated": _number(),
                "score_recalculated": serializers.BooleanField(),
                "fields_changed": serializers.ListField(child=_text()),
            },
        ),
        "audit": component("ChangeAudit", {"updated_at": serializers.DateTimeField(), "updated_by": _text()}),
    },
    message=True,
)
DELETED = described("DeletedLead", {"id": _number(), "deleted": serializers.BooleanField()}, message=True)
_COUNT = {"status": _text(), "count": _number()}
COUNTS = described("StatusCount", _COUNT, many=True)
PIPELINE = described(
    "Pipeline",
    {
        "pipeline": serializers.DictField(child=component("ListedLead", LISTED, many=True), help_text="Leads by status code"),
        "statusCounts": component("StatusCount", _COUNT, many=True),
    },
)
