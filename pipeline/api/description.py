"""The answers of stages and service levels, for the API's description."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from crm.rest.description import component, described


def _text(**options: Any) -> serializers.CharField:
    return serializers.CharField(**options)


def _number(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(**options)


def _decimal(**options: Any) -> serializers.FloatField:
    return serializers.FloatField(**options)


def _moment(**options: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(**options)


PERIOD = [
    OpenApiParameter("date_from", str, description="First day, in the tenant's zone; left out: from the beginning"),
    OpenApiParameter("date_to", str, description="Last day, included; left out: until now"),
]
SLA_HOURS = [OpenApiParameter("sla_hours", int, description="Hours a stay may take", default=24)]

_HOURS = _decimal(allow_null=True, help_text="Null where no stay ended")
_STATUS = {"status_id": _number(), "status_name": _text(help_text="The code"), "status_label": _text()}
STAGE: dict[str, Any] = {
    "id": _number(),
    "lead_id": _number(),
    "status_id": _number(),
    "status_name": _text(),
    "status_label": _text(),
    "entered_at": _moment(),
    "exited_at": _moment(allow_null=True),
    "duration_hours": _decimal(allow_null=True, help_text="Once it is over"),
    "notes": _text(),
    "next_action_required": _text(),
    "user_id": _number(allow_null=True),
    "user_name": _text(allow_null=True),
    "user_email": _text(allow_null=True),
    "came_from": _text(allow_null=True),
    "rules_skipped": serializers.BooleanField(),
}
_NEXT = {
    "id": _number(),
    "name": _text(),
    "description": _text(),
    "label": _text(),
    "required_fields": serializers.ListField(child=_text(), help_text="What the lead must hold for the move"),
    "needs_reason": serializers.BooleanField(),
}
CHANGED = described(
    "ChangedStage",
    {
        "stage_id": _number(),
        "current_stage": component("Stage", STAGE),
        "previous_status": _text(),
        "new_status": _text(),
        "transition_valid": serializers.BooleanField(help_text="False where the move went past the rules"),
    },
    message=True,
)
STAGE_ANSWER = described("Stage", STAGE, message=True)
CURRENT = described("CurrentStage", {**STAGE, "hours_in_stage": _decimal(), "lead_name": _text()})
HISTORY = described("Stage", STAGE, many=True)
NEXT = described("NextStatuses", {"current_status": _text(), "next_possible_statuses": component("NextStatus", _NEXT, many=True)})
PERFORMANCE = described(
    "StagePerformance",
    {
        **_STATUS,
        "status_description": _text(),
        "total_entries": _number(),
        "total_exits": _number(),
        "currently_in_stage": _number(help_text="At the end of the period"),
        "avg_duration_hours": _HOURS,
        "min_duration_hours": _HOURS,
        "max_duration_hours": _HOURS,
        "leads_exceeding_24h": _number(),
        "leads_exceeding_48h": _number(),
    },
    many=True,
)
USERS = described(
    "UserStagePerformance",
    {
        "user_id": _number(),
        "user_name": _text(),
        "user_email": _text(),
        "total_changes": _number(help_text="Moves made, without the leads entered"),
        "won": _number(),
        "lost": _number(),
        "win_rate": _decimal(),
        "stays_ended": _number(),
        "avg_duration_hours": _HOURS,
        "by_status": component(
            "UserStatusPerformance",
            {"status_id": _number(), "status_name": _text(), "moved_in": _number(), "avg_duration_hours": _HOURS},
            many=True,
        ),
    },
    many=True,
)
MATRIX = described(
    "TransitionMatrix",
    {
        "transitions": component(
            "TransitionCount",
            {
                "from_status": _text(),
                "to_status": _text(),
                "count": _number(),
                "percentage": _decimal(help_text="Of the stays in from_status that ended"),
                "avg_duration_hours": _decimal(),
            },
            many=True,
        ),
        "matrix": serializers.DictField(child=serializers.DictField(child=_number()), help_text="From status, to status, how many"),
        "statuses": serializers.ListField(child=_text()),
        "total": _number(),
    },
)
CONVERSION = described(
    "StageConversion",
    {
        "stages": component(
            "StageConversionRow",
            {
                **_STATUS,
                "entries": _number(),
                "exits": _number(),
                "moved_on": _number(),
                "moved_back": _number(),
                "lost": _number(),
                "conversion_rate": _decimal(),
                "loss_rate": _decimal(),
                "to": component("StageConversionTo", {"status_name": _text(), "count": _number(), "rate": _decimal()}, many=True),
            },
            many=True,
        ),
        "overall": component(
            "Conversion", {"won": _number(), "lost": _number(), "closed": _number(), "win_rate": _decimal()}
        ),
    },
)  # fmt: skip
SUMMARY = described(
    "StageSummary",
    {
        "total_leads": _number(),
        "open_leads": _number(),
        "stages": component(
            "StageSummaryRow",
            {
                **_STATUS,
                "category": _text(),
                "lead_count": _number(),
                "percentage": _decimal(),
                "avg_hours_in_stage": _decimal(allow_null=True),
                "oldest_entered_at": _moment(allow_null=True),
                "exceeding_24h": _number(),
                "exceeding_48h": _number(),
                "entered_last_24h": _number(),
                "left_last_24h": _number(),
            },
            many=True,
        ),
    },
)
CHANGES = described(
    "StageChange",
    {
        "stage_id": _number(),
        "lead_id": _number(),
        "lead_name": _text(),
        "changed_at": _moment(),
        "from_status": _text(),
        "to_status": _text(),
        "status_id": _number(),
        "user_id": _number(allow_null=True),
        "user_name": _text(allow_null=True),
        "notes": _text(),
        "rules_skipped": serializers.BooleanField(),
    },
    many=True,
)
STATISTICS = described(
    "StatusStatistics",
    {
        **_STATUS,
        "category": _text(),
        "lead_count": _number(help_text="At the end of the period"),
        "percentage": _decimal(),
        "total_entries": _number(),
        "total_exits": _number(),
        "net_change": _number(),
        "avg_duration_hours": _HOURS,
        "total_hours": _decimal(),
    },
    many=True,
)
_SHARE = {"total": _number(), "within_sla": _number(), "exceeded_sla": _number(), "compliance_rate": _decimal()}
COMPLIANCE = described(
    "SlaCompliance",
    {
        "sla_hours": _number(),
        "overall": component("SlaShare", _SHARE),
        "stages": component("SlaStageShare", {**_STATUS, **_SHARE, "overdue_now": _number(), "pending": _number()}, many=True),
    },
)
VIOLATIONS = described(
    "SlaViolation",
    {
        "stage_id": _number(),
        "lead_id": _number(),
        "lead_name": _text(),
        "company": _text(),
        **_STATUS,
        "entered_at": _moment(),
        "hours_in_stage": _decimal(),
        "hours_over_sla": _decimal(),
        "assigned_user_id": _number(allow_null=True),
        "assigned_to_name": _text(allow_null=True),
    },
    many=True,
)
EFFICIENCY = described(
    "WorkflowEfficiency",
    {
        **{name: _number() for name in ("total_moves", "forward_moves", "backward_moves", "lost_moves", "reopened", "won", "lost", "open_leads")},
        **{name: _decimal() for name in ("forward_rate", "backward_rate", "win_rate")},
        **{name: _decimal(allow_null=True) for name in ("avg_stage_hours", "open_hours_per_closed_lead")},
        "stages": component(
            "StageShareOfTime", {"status_name": _text(), "avg_duration_hours": _HOURS, "share_of_time": _decimal()}, many=True
        ),
    },
)  # fmt: skip
BOTTLENECKS = described(
    "Bottlenecks",
    {
        "avg_stage_hours": _HOURS,
        "slowest_share": _text(allow_null=True, help_text="The status in which leads spend the most time"),
        "stages": component(
            "BottleneckStage",
            {
                **_STATUS,
                "total_entries": _number(),
                "total_exits": _number(),
                "currently_in_stage": _number(),
                "avg_duration_hours": _HOURS,
                "share_of_time": _decimal(),
                "throughput_rate": _decimal(help_text="Exits in percent of entries"),
                "loss_rate": _decimal(),
                "slowness": _decimal(help_text="Against the average stay"),
                "is_bottleneck": serializers.BooleanField(),
            },
            many=True,
        ),
    },
)
