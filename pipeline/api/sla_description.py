"""The answers of service levels, for the API's description."""

from typing import Any

from rest_framework import serializers

from crm.rest.description import component, described
from pipeline.api.description import PERIOD
from pipeline.enums import SlaHours, SlaKind, SlaState, StepAction

__all__ = ["PERIOD"]

_text, _number, _decimal, _moment = serializers.CharField, serializers.IntegerField, serializers.FloatField, serializers.DateTimeField
_STEP = {
    "minutes": _number(help_text="Before (negative) or after it is due"),
    "action": serializers.ChoiceField(StepAction.choices),
    "user": _number(allow_null=True),
}
_POLICY: dict[str, Any] = {
    "id": _number(),
    "name": _text(),
    "position": _number(help_text="Of each kind the first that fits a lead counts"),
    "is_active": serializers.BooleanField(),
    "kind": serializers.ChoiceField(SlaKind.choices),
    "status_id": _number(allow_null=True),
    "status_name": _text(allow_null=True),
    "conditions": serializers.DictField(allow_null=True),
    "target_minutes": _number(help_text="Of working time"),
    "hours": serializers.ChoiceField(SlaHours.choices),
    "due_soon_share": _number(help_text="Percent of the time after which it is due soon"),
    "steps": component("SlaStep", _STEP, many=True),
    "created_at": _moment(),
}
_CLOCK: dict[str, Any] = {
    "policy_id": _number(),
    "policy": _text(),
    "kind": serializers.ChoiceField(SlaKind.choices),
    "state": serializers.ChoiceField(SlaState.choices),
    "started_at": _moment(),
    "due_at": _moment(allow_null=True),
    "seconds_left": _number(allow_null=True, help_text="Negative once it is breached; null while paused"),
    "paused_at": _moment(allow_null=True),
}
_LISTED = {
    "clock_id": _number(),
    "lead_id": _number(),
    "lead_name": _text(),
    "company": _text(),
    "status_name": _text(),
    "status_label": _text(),
    "assigned_user_id": _number(allow_null=True),
    "assigned_to_name": _text(allow_null=True),
    **_CLOCK,
}
_COUNTS = {name: _number() for name in ("running", "soon", "breached", "paused")}
POLICIES = described("SlaPolicy", _POLICY, many=True)
POLICY = described("SlaPolicy", _POLICY, message=True)
DELETED = described("DeletedSlaPolicy", {"id": _number(), "deleted": serializers.BooleanField()}, message=True)
LEAD_CLOCKS = described("LeadSlaClock", _CLOCK, many=True, message=True)
CLOCKS = described("SlaClock", _LISTED, many=True)
BY_POLICY = described(
    "SlaPolicyCompliance",
    {
        "policy_id": _number(),
        "policy": _text(),
        "kind": serializers.ChoiceField(SlaKind.choices),
        "target_minutes": _number(),
        "total": _number(),
        "within_sla": _number(),
        "exceeded_sla": _number(),
        "pending": _number(),
        "compliance_rate": _decimal(),
    },
    many=True,
)
CONTROL_ROOM = described(
    "SlaControlRoom",
    {
        **{name: _number() for name in ("running", "breaching_soon", "breached", "paused", "soon_minutes")},
        "next": component("SlaClock", _LISTED, many=True),
        "latest_breached": component("SlaClock", _LISTED, many=True),
        "by_owner": component("SlaOwner", {"user_id": _number(allow_null=True), "user_name": _text(allow_null=True), **_COUNTS}, many=True),
        "response_and_conversion": component(
            "ResponseBucket",
            {
                "response_time": _text(),
                "max_minutes": _number(allow_null=True),
                "leads": _number(),
                "won": _number(),
                "lost": _number(),
                "conversion_rate": _decimal(),
            },
            many=True,
        ),
    },
)
