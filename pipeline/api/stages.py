"""S1-20 to S1-24, S4-041 and S4-045: a lead's stages."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.operations.api import OPERATION
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from leads.api.bulk import AT_ONCE, bulk_answer
from leads.permissions import CHANGE, VIEW
from leads.selectors import move_between, next_statuses
from leads.services.editing import find_lead, status_out
from pipeline.api import description
from pipeline.models import LeadStage
from pipeline.selectors.measures import hours_of
from pipeline.selectors.stages import current_stage, stages_of
from pipeline.services.stages import MOST_ACTION, MOST_NOTES, bulk_qualify, change_status, qualify_lead, status_of, update_notes

_TAGS = ["stages"]
_KEY = {"min_value": 1, "max_value": 2**63 - 1}


class NotesIn(InputSerializer):
    notes = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=MOST_NOTES)
    next_action_required = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=MOST_ACTION)

    @staticmethod
    def texts(values: dict[str, Any]) -> dict[str, str]:
        return {name: values[name] or "" for name in ("notes", "next_action_required") if name in values}


class ChangeStatusIn(NotesIn):
    lead_id = serializers.IntegerField(**_KEY)
    status_id = serializers.IntegerField(min_value=1, max_value=32767)
    lost_reason = serializers.CharField(required=False, allow_blank=True, max_length=100)
    skip_validation = serializers.BooleanField(required=False, default=False, help_text="Past the rules; needs the permission")


class UpdateNotesIn(NotesIn):
    stage_id = serializers.IntegerField(**_KEY)


class BulkQualifyIn(InputSerializer):
    lead_ids = serializers.ListField(child=serializers.IntegerField(**_KEY), allow_empty=False, max_length=100_000)
    skip_validation = serializers.BooleanField(required=False, default=False)


def stage_out(stage: LeadStage) -> dict[str, Any]:
    user = stage.user
    return {
        "id": stage.pk,
        "lead_id": stage.lead_id,
        "status_id": stage.status.number,
        "status_name": stage.status.code,
        "status_label": stage.status.label,
        "entered_at": stage.entered_at,
        "exited_at": stage.exited_at,
        "duration_hours": float(stage.duration_hours) if stage.duration_hours is not None else None,
        "notes": stage.notes,
        "next_action_required": stage.next_action_required,
        "user_id": stage.user_id,
        "user_name": user.full_name if user else None,
        "user_email": user.email if user else None,
        "came_from": stage.came_from.code if stage.came_from else None,
        "rules_skipped": stage.rules_skipped,
    }


def _moved_out(request: Request, moved: Any) -> Response:
    previous, new = moved.previous.code, moved.lead.status.code
    data = {
        "stage_id": moved.stage.pk,
        "current_stage": stage_out(moved.stage),
        "previous_status": previous,
        "new_status": new,
        "transition_valid": not moved.stage.rules_skipped,
    }
    return success(request, data, message=f"Lead status changed from '{previous}' to '{new}' successfully")


class ChangeStatusView(ApiView):
    """S1-20."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=ChangeStatusIn,
        summary="Move a lead to another status",
        description="409 INVALID_TRANSITION names what is allowed; 400 REQUIRED_FOR_MOVE names what the move asks for. Notes are a reason.",
        tags=_TAGS,
        operation_id="stages_change_status",
        responses={200: description.CHANGED},
    )
    def post(self, request: Request, **_: Any) -> Response:
        values = read(ChangeStatusIn, request.data)
        texts = NotesIn.texts(values)
        moved = change_status(
            lead_id=values["lead_id"],
            status=status_of(values["status_id"]),
            notes=texts.get("notes", ""),
            next_action=texts.get("next_action_required", ""),
            fields={"lost_reason": values["lost_reason"]} if values.get("lost_reason") else None,
            skip_rules=values["skip_validation"],
            by=self.actor,
        )
        return _moved_out(request, moved)


class CurrentStageView(ApiView):
    """S1-21."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="The stage a lead is in", tags=_TAGS, operation_id="stages_current", responses={200: description.CURRENT}
    )  # fmt: skip
    def get(self, request: Request, lead_id: str, **_: Any) -> Response:
        lead = find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)
        stage = current_stage(lead)
        if stage is None:
            return success(request, None)
        since = hours_of(max(timezone.now(), stage.entered_at) - stage.entered_at)
        return success(request, {**stage_out(stage), "hours_in_stage": since, "lead_name": lead.display_name})


class StageHistoryView(ApiView):
    """S1-22."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="The stages a lead went through", tags=_TAGS, operation_id="stages_history", responses={200: description.HISTORY}
    )  # fmt: skip
    def get(self, request: Request, lead_id: str, **_: Any) -> Response:
        lead = find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)
        return success(request, [stage_out(stage) for stage in stages_of(lead)])


class NextStatusesView(ApiView):
    """S1-23."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="The statuses a lead may move to", tags=_TAGS, operation_id="stages_next_statuses", responses={200: description.NEXT}
    )  # fmt: skip
    def get(self, request: Request, lead_id: str, **_: Any) -> Response:
        lead = find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)
        allowed = []
        for status in next_statuses(lead.status):
            move = move_between(lead.status, status)
            asks = {"required_fields": move.required_fields if move else [], "needs_reason": bool(move and move.needs_reason)}
            allowed.append({**status_out(status), "label": status.label, **asks})
        return success(request, {"current_status": lead.status.code, "next_possible_statuses": allowed})


class UpdateNotesView(ApiView):
    """S1-24."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE, "patch": CHANGE}

    @extend_schema(
        request=UpdateNotesIn,
        summary="Change the notes of a stage",
        description="What is left out stays as it is.",
        tags=_TAGS,
        operation_id="stages_update_notes",
        responses={200: description.STAGE_ANSWER},
    )
    def put(self, request: Request, **_: Any) -> Response:
        values = read(UpdateNotesIn, request.data)
        stage = update_notes(stage_id=values["stage_id"], changes=NotesIn.texts(values), by=self.actor)
        return success(request, stage_out(stage), message="Stage notes updated successfully")

    @extend_schema(exclude=True)
    def patch(self, request: Request, **_: Any) -> Response:
        return self.put(request)


class QualifyView(ApiView):
    """S4-041."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=NotesIn,
        summary="Qualify a lead",
        description="Moves it to `qualified` by the rules.",
        tags=_TAGS,
        operation_id="leads_qualify",
        responses={200: description.CHANGED},
    )
    def post(self, request: Request, id: str, **_: Any) -> Response:
        texts = NotesIn.texts(read(NotesIn, request.data or {}))
        moved = qualify_lead(
            lead_id=parse_id(id), notes=texts.get("notes", ""), next_action=texts.get("next_action_required", ""), by=self.actor
        )
        return _moved_out(request, moved)


class BulkQualifyView(ApiView):
    """S4-045."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}
    rate_kind = "bulk"

    @extend_schema(
        request=BulkQualifyIn,
        summary="Qualify many leads",
        description=f"An operation that can be taken back; at most {AT_ONCE:,} are answered at once.",
        tags=_TAGS,
        operation_id="leads_bulk_qualify",
        responses={202: described("Operation", OPERATION)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        values = read(BulkQualifyIn, request.data)
        operation = bulk_qualify(lead_ids=values["lead_ids"], skip_rules=values["skip_validation"], by=self.actor)
        return bulk_answer(request, operation, selected=operation.total or 0)
