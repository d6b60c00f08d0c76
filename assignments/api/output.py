"""Assignments as document 1 answers them."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from assignments.models import Assignment
from crm.identity.models import User
from crm.rest.description import described


def person_out(user: User | None) -> dict[str, Any] | None:
    return {"id": user.pk, "first_name": user.first_name, "last_name": user.last_name} if user else None


def assignment_out(row: Assignment) -> dict[str, Any]:
    """One row by itself."""
    return {
        "id": row.pk,
        "lead_id": row.lead_id,
        "assigned_user_id": row.assigned_user_id,
        "assigned_at": row.at,
        "assigned_by_user_id": row.assigned_by_id,
        "previous_user_id": row.previous_user_id,
        "reassignment_reason": row.reason or None,
        "notes": row.notes or None,
        "ended_at": row.until,
        "door": row.door,
        "rule_id": row.rule_id,
    }


def listed_out(row: Assignment, people: Mapping[int, User]) -> dict[str, Any]:
    """One row with the names a list shows."""
    user, giver = row.assigned_user, people.get(row.assigned_by_id or 0)
    return {
        **assignment_out(row),
        "assigned_user_email": user.email if user else None,
        "assigned_user_first_name": user.first_name if user else None,
        "assigned_user_last_name": user.last_name if user else None,
        "assigned_by_first_name": giver.first_name if giver else None,
        "assigned_by_last_name": giver.last_name if giver else None,
        "rule_name": row.rule.name if row.rule else None,
    }


def with_lead_out(row: Assignment, people: Mapping[int, User]) -> dict[str, Any]:
    lead = row.lead
    return {
        **listed_out(row, people),
        "lead": {
            "id": lead.pk,
            "first_name": lead.first_name,
            "last_name": lead.last_name,
            "company": lead.company,
            "email": lead.email,
            "phone": lead.phone,
            "status": lead.status.code,
            "score": lead.score,
        },
    }


_INT, _TEXT = serializers.IntegerField, serializers.CharField
ROW = {
    "id": _INT(),
    "lead_id": _INT(),
    "assigned_user_id": _INT(allow_null=True),
    "assigned_at": serializers.DateTimeField(),
    "assigned_by_user_id": _INT(allow_null=True),
    "previous_user_id": _INT(allow_null=True),
    "reassignment_reason": _TEXT(allow_null=True),
    "notes": _TEXT(allow_null=True),
    "ended_at": serializers.DateTimeField(allow_null=True),
    "door": _TEXT(),
    "rule_id": _INT(allow_null=True),
}
LISTED = {
    **ROW,
    "assigned_user_email": _TEXT(allow_null=True),
    "assigned_user_first_name": _TEXT(allow_null=True),
    "assigned_user_last_name": _TEXT(allow_null=True),
    "assigned_by_first_name": _TEXT(allow_null=True),
    "assigned_by_last_name": _TEXT(allow_null=True),
    "rule_name": _TEXT(allow_null=True),
}
GIVEN = described(
    "GivenLead", {"assignment": serializers.DictField(), "assigned_user": serializers.DictField(allow_null=True)}, message=True
)
HISTORY = described("AssignmentHistory", LISTED, many=True)
CURRENT = described("CurrentAssignment", {**LISTED, "lead": serializers.DictField()})
LIST = described("Assignment", {**LISTED, "lead": serializers.DictField()}, many=True)
SPREAD = described(
    "SpreadLeads", {"total_assigned": _INT(), "assignments": serializers.ListField(child=serializers.DictField())}, message=True
)
WORKLOAD = described(
    "WorkloadStats",
    {
        "unassigned_leads": _INT(),
        "workload_distribution": serializers.ListField(child=serializers.DictField()),
        "total_users": _INT(),
        "average_leads_per_user": serializers.FloatField(),
    },
)
