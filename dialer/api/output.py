"""How the dialer's API answers its records, and their description."""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request

from crm.actors import Actor
from crm.operations.enums import RowOutcome
from crm.operations.models import Operation, OperationRow
from crm.rest.description import component
from customobjects.services.kinds import LARGEST_EXACT
from dialer.api.inputs import WEEKDAYS
from dialer.models import Call, CallingAgent, DialerSettings, DoNotCall, QueueEntry, RetryRule
from dialer.selectors.queues import leads_in_sight

# So many failed rows are answered with an import; all that are kept stand at the operation's own address.
MOST_ERRORS = 1000
_TEXT, _INT, _FLAG, _TIME, _UUID = (
    serializers.CharField,
    serializers.IntegerField,
    serializers.BooleanField,
    serializers.DateTimeField,
    serializers.UUIDField,
)

ENTRY = {
    "id": _UUID(), "agent_id": _UUID(), "first_name": _TEXT(), "phone_e164": _TEXT(), "status": _TEXT(), "custom_fields": serializers.DictField(),
    "schedule_at": _TIME(), "attempts_count": _INT(), "disposition": _TEXT(allow_null=True),
    "crm_lead_id": _INT(allow_null=True, help_text="None where the lead is out of sight"), "created_at": _TIME(),
    "updated_at": _TIME(),
}  # fmt: skip
CALL = {
    "id": _UUID(), "lead_id": _UUID(allow_null=True), "agent_id": _UUID(allow_null=True), "lead_name": _TEXT(), "lead_phone": _TEXT(),
    "agent_name": _TEXT(), "status": _TEXT(), "outcome": _TEXT(allow_null=True), "result": _TEXT(allow_null=True), "attempt": _INT(),
    "duration_seconds": _INT(), "transcript_url": _TEXT(allow_null=True), "recording_url": _TEXT(allow_null=True), "summary": _TEXT(),
    "notes": _TEXT(), "user_id": _INT(allow_null=True), "crm_lead_id": _INT(allow_null=True), "created_at": _TIME(),
    "answered_at": _TIME(allow_null=True), "ended_at": _TIME(allow_null=True),
}  # fmt: skip
RULE = {"result": _TEXT(), "delay_minutes": _INT(), "max_tries": _INT(), "another_hour": _FLAG(), "disposition": _TEXT()}
AGENT: dict[str, Any] = {
    "id": _UUID(), "name": _TEXT(), "kind": _TEXT(), "is_active": _FLAG(), "time_zone": _TEXT(allow_null=True, help_text="None is the company's"),
    "business_hours": serializers.DictField(help_text="Spans by weekday; none are the company's"),
    "holidays": serializers.ListField(child=serializers.DateField()), "keeps_company_holidays": _FLAG(), "max_attempts": _INT(),
    "retry_delay_minutes": _INT(), "max_concurrent_calls": _INT(), "caller_id": _TEXT(allow_null=True), "mode": _TEXT(), "lines_per_person": _INT(),
    "ring_seconds": _INT(), "countdown_seconds": _INT(), "detect_machines": _FLAG(), "script": _TEXT(),
    "members": component("DialerMember", {"id": _INT(), "name": _TEXT()}, many=True), "retry_rules": component("RetryRule", RULE, many=True),
    "created_at": _TIME(), "updated_at": _TIME(),
}  # fmt: skip
NUMBER = {
    "id": _INT(), "phone": _TEXT(), "agent_id": _UUID(allow_null=True), "until": serializers.DateField(allow_null=True), "reason": _TEXT(),
    "created_at": _TIME(),
}  # fmt: skip
IMPORT = {
    "success_count": _INT(), "error_count": _INT(), "errors": component("DialerRowError", {"row": _INT(), "error": _TEXT()}, many=True),
    "skipped_count": _INT(),
    "skipped": component("DialerSkippedRow", {"row": _INT(), "reason": _TEXT(), "crm_lead_id": _INT(allow_null=True)}, many=True),
    "total_processed": _INT(), "operation_id": _INT(), "state": _TEXT(), "error": _TEXT(allow_null=True, help_text="Why the whole of it failed"),
    "progress": _INT(allow_null=True), "status_url": _TEXT(),
}  # fmt: skip
METRICS = {
    "total_calls": _INT(), "answered_calls": _INT(), "no_answer_calls": _INT(), "failed_calls": _INT(),
    "pickup_rate": serializers.FloatField(help_text="Percent"), "average_attempts_per_lead": serializers.FloatField(), "active_agents": _INT(),
}  # fmt: skip
WHY = {"may_call": _FLAG(), "reason": _TEXT(allow_null=True), "text": _TEXT(), "at": _TIME(allow_null=True)}
SETTINGS: dict[str, Any] = {
    "provider": _TEXT(), "account_sid": _TEXT(), "has_auth_token": _FLAG(), "caller_id": _TEXT(), "window_start": _TEXT(), "window_end": _TEXT(),
    "window_days": serializers.ListField(child=_INT()), "most_calls_a_day": _INT(), "most_abandoned": serializers.FloatField(),
    "record_calls": _FLAG(), "keep_recordings_days": _INT(),
}  # fmt: skip


def entry_out(entry: QueueEntry, *, actor: Actor) -> dict[str, Any]:
    """An entry with its agent loaded: document 2's lead."""
    return entries_out([entry], actor=actor)[0]


def entries_out(entries: Sequence[QueueEntry], *, actor: Actor) -> list[dict[str, Any]]:
    """Entries with their agents loaded. Which lead of the CRM has a number is told to those who see the lead."""
    seen = leads_in_sight([entry.lead_id for entry in entries], actor=actor)
    return [_entry_out(entry, seen) for entry in entries]


def _entry_out(entry: QueueEntry, seen: Container[int | None]) -> dict[str, Any]:
    return {
        "id": entry.public_id,
        "agent_id": entry.agent.public_id,
        "first_name": entry.first_name,
        "phone_e164": entry.phone,
        "status": entry.status,
        "custom_fields": _as_sent(entry.custom_fields),
        "schedule_at": entry.schedule_at,
        "attempts_count": entry.attempts_count,
        "disposition": entry.disposition or None,
        "crm_lead_id": entry.lead_id if entry.lead_id in seen else None,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
    }


def _as_sent(value: Any) -> Any:
    """A stored value; the database writes large floats as whole numbers, which JSON's readers do not take."""
    if isinstance(value, dict):
        return {key: _as_sent(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_sent(item) for item in value]
    return float(value) if isinstance(value, int) and abs(value) > LARGEST_EXACT else value


def calls_out(calls: Sequence[Call], request: Request, *, actor: Actor) -> list[dict[str, Any]]:
    """Calls with their entries and agents loaded; their leads' ids where the lead is in sight."""
    seen = leads_in_sight([call.lead_id for call in calls], actor=actor)
    return [_call_out(call, request, seen) for call in calls]


def _call_out(call: Call, request: Request, seen: Container[int | None]) -> dict[str, Any]:
    def address(name: str, there: Any) -> str | None:
        return request.build_absolute_uri(reverse(f"dialer-api:{name}", args=[call.public_id])) if there else None

    return {
        "id": call.public_id,
        "lead_id": call.entry.public_id if call.entry else None,
        "agent_id": call.agent.public_id if call.agent else None,
        "lead_name": call.lead_name,
        "lead_phone": call.phone,
        "agent_name": call.agent_name,
        "status": call.status,
        "outcome": call.outcome or None,
        "result": call.result or None,
        "attempt": call.attempt,
        "duration_seconds": call.duration_seconds,
        "transcript_url": address("dialer-call-transcript", call.transcript),
        "recording_url": address("dialer-call-recording", call.recording),
        "summary": call.summary,
        "notes": call.notes,
        "user_id": call.user_id,
        "crm_lead_id": call.lead_id if call.lead_id in seen else None,
        "created_at": call.created_at,
        "answered_at": call.answered_at,
        "ended_at": call.ended_at,
    }


def agent_out(agent: CallingAgent) -> dict[str, Any]:
    """An agent with its members and rules loaded."""
    same = (
        "name", "kind", "is_active", "holidays", "max_attempts", "retry_delay_minutes", "mode", "ring_seconds", "countdown_seconds",
        "detect_machines", "script",
    )  # fmt: skip
    return {
        "id": agent.public_id,
        **{name: getattr(agent, name) for name in same},
        "time_zone": agent.time_zone or None,
        "business_hours": {WEEKDAYS[int(day)]: _spans(spans) for day, spans in sorted(agent.business_hours.items()) if spans},
        "keeps_company_holidays": agent.keeps_tenant_holidays,
        "max_concurrent_calls": agent.most_calls,
        "caller_id": agent.caller_id or None,
        "lines_per_person": agent.lines,
        "members": [{"id": member.user_id, "name": member.user.full_name} for member in agent.members.all()],
        "retry_rules": [rule_out(rule) for rule in agent.retry_rules.all()],
        "created_at": agent.created_at,
        "updated_at": agent.updated_at,
    }


def _spans(stored: Sequence[Any]) -> list[Any]:
    return [list(stored)] if isinstance(stored[0], str) else list(stored)


def rule_out(rule: RetryRule) -> dict[str, Any]:
    return {
        "result": rule.result,
        "delay_minutes": rule.delay_minutes,
        "max_tries": rule.most_tries,
        "another_hour": rule.another_hour,
        "disposition": rule.disposition,
    }


def number_out(listed: DoNotCall) -> dict[str, Any]:
    """A number with its agent loaded."""
    return {
        "id": listed.pk,
        "phone": listed.phone,
        "agent_id": listed.agent.public_id if listed.agent else None,
        "until": listed.until,
        "reason": listed.reason,
        "created_at": listed.created_at,
    }


def import_out(operation: Operation) -> dict[str, Any]:
    """An import's counters under document 2's names. What was left as it stood is neither a success nor an error."""
    rows = OperationRow.objects.filter(operation=operation).order_by("row", "pk")
    errors = rows.filter(outcome=RowOutcome.FAILED)[:MOST_ERRORS]
    skipped = rows.filter(outcome=RowOutcome.SKIPPED)[:MOST_ERRORS]
    return {
        "success_count": operation.created + operation.updated,
        "error_count": operation.failed,
        "errors": [{"row": error.row, "error": error.message} for error in errors],
        "skipped_count": operation.skipped,
        "skipped": [{"row": row.row, "reason": row.message, "crm_lead_id": row.record_id} for row in skipped],
        "error": operation.error or None,
        "total_processed": operation.done,
        "operation_id": operation.pk,
        "state": operation.state,
        "progress": operation.percent,
        "status_url": reverse("dialer-api:dialer-import", args=[operation.pk]),
    }


def settings_out(settings: DialerSettings) -> dict[str, Any]:
    """The settings without their secret."""
    return {
        "provider": settings.provider,
        "account_sid": settings.account_sid,
        "has_auth_token": bool(settings.auth_token),
        "caller_id": settings.caller_id,
        "window_start": f"{settings.window_start:%H:%M}",
        "window_end": f"{settings.window_end:%H:%M}",
        "window_days": settings.window_days,
        "most_calls_a_day": settings.most_calls_a_day,
        "most_abandoned": float(settings.most_abandoned),
        "record_calls": settings.record_calls,
        "keep_recordings_days": settings.keep_recordings_days,
    }


def why_out(*, may_call: bool, reason: str, text: str, at: datetime | None) -> dict[str, Any]:
    return {"may_call": may_call, "reason": reason or None, "text": text, "at": at}
