"""`/settings/statuses` and `/settings/transitions`: the stages of the tenant's leads and the moves between them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from leads.enums import StatusCategory
from leads.models import LeadStatus, LeadTransition
from leads.permissions import CONFIGURE, VIEW
from leads.services.moves import (
    StatusSettings,
    delete_status,
    delete_transition,
    find_status,
    find_transition,
    save_status,
    save_transition,
)

_TAGS = ["statuses"]
_NUMBER = {"min_value": 1, "max_value": 32767}


class LeadStatusIn(InputSerializer):
    label = serializers.CharField(max_length=60)
    description = serializers.CharField(required=False, allow_blank=True, max_length=200)
    category = WordChoiceField(StatusCategory.choices, required=False)
    position = serializers.IntegerField(required=False, min_value=0, max_value=32767)
    is_active = serializers.BooleanField(required=False)


class TransitionIn(InputSerializer):
    from_status_id = serializers.IntegerField(**_NUMBER)
    to_status_id = serializers.IntegerField(**_NUMBER)
    required_fields = serializers.ListField(
        child=serializers.CharField(max_length=80), required=False, max_length=50, help_text="Fields of the lead; custom ones as cf_<key>"
    )
    needs_reason = serializers.BooleanField(required=False)


_STATUS = {
    "id": serializers.IntegerField(),
    "name": serializers.CharField(help_text="The code"),
    "label": serializers.CharField(),
    "description": serializers.CharField(),
    "category": serializers.ChoiceField(StatusCategory.choices),
    "position": serializers.IntegerField(),
    "is_builtin": serializers.BooleanField(),
    "is_active": serializers.BooleanField(),
}
_TRANSITION = {
    "id": serializers.IntegerField(),
    "from_status_id": serializers.IntegerField(),
    "from_status": serializers.CharField(),
    "to_status_id": serializers.IntegerField(),
    "to_status": serializers.CharField(),
    "required_fields": serializers.ListField(child=serializers.CharField()),
    "needs_reason": serializers.BooleanField(),
}
_GONE = {"id": serializers.IntegerField(), "deleted": serializers.BooleanField()}
_STATUS_ANSWER, _MOVE_ANSWER = described("LeadStatus", _STATUS, message=True), described("LeadTransition", _TRANSITION, message=True)


def status_row(status: LeadStatus) -> dict[str, Any]:
    own = {name: getattr(status, name) for name in ("label", "description", "category", "position", "is_builtin", "is_active")}
    return {"id": status.number, "name": status.code, **own}


def transition_row(move: LeadTransition) -> dict[str, Any]:
    return {
        "id": move.pk,
        "from_status_id": move.source.number,
        "from_status": move.source.code,
        "to_status_id": move.target.number,
        "to_status": move.target.code,
        "required_fields": move.required_fields,
        "needs_reason": move.needs_reason,
    }


class StatusesView(ApiView):
    """`/settings/statuses`."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "post": CONFIGURE}

    @extend_schema(
        summary="List statuses", tags=_TAGS, operation_id="statuses_list", parameters=PAGE_PARAMETERS,
        responses={200: described("LeadStatus", _STATUS, many=True)},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        return paged(request, LeadStatus.objects.order_by("position", "pk"), status_row)

    @extend_schema(
        request=LeadStatusIn, summary="Add a status", tags=_TAGS, operation_id="statuses_create", responses={201: _STATUS_ANSWER}
    )
    def post(self, request: Request, **_: Any) -> Response:
        status = save_status(status=None, wanted=StatusSettings(**read(LeadStatusIn, request.data)), by=self.actor)
        return success(request, status_row(status), message="Status created", status=201)


class StatusView(ApiView):
    """`/settings/statuses/{id}`: the id is document 1's, 1 to 8, or a tenant's own from 101."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "put": CONFIGURE, "patch": CONFIGURE, "delete": CONFIGURE}

    @extend_schema(summary="Read a status", tags=_TAGS, operation_id="status_read", responses={200: _STATUS_ANSWER})
    def get(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, status_row(find_status(parse_id(id))))

    @extend_schema(
        request=LeadStatusIn, summary="Change a status", description="What is left out stays.", tags=_TAGS, operation_id="status_change",
        responses={200: _STATUS_ANSWER},
    )  # fmt: skip
    def put(self, request: Request, id: str, **_: Any) -> Response:
        status = find_status(parse_id(id))
        kept = {name: getattr(status, name) for name in ("label", "description", "category", "position", "is_active")}
        wanted = StatusSettings(**{**kept, **read(LeadStatusIn, request.data, partial=True)})
        return success(request, status_row(save_status(status=status, wanted=wanted, by=self.actor)), message="Status updated")

    @extend_schema(exclude=True)
    def patch(self, request: Request, id: str, **_: Any) -> Response:
        return self.put(request, id)

    @extend_schema(
        summary="Delete a status", tags=_TAGS, operation_id="status_delete", responses={200: described("DeletedStatus", _GONE, message=True)}
    )  # fmt: skip
    def delete(self, request: Request, id: str, **_: Any) -> Response:
        status = find_status(parse_id(id))
        delete_status(status=status, by=self.actor)
        return success(request, {"id": status.number, "deleted": True}, message="Status deleted")


class TransitionsView(ApiView):
    """`/settings/transitions`."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "post": CONFIGURE}

    @extend_schema(
        summary="List the allowed moves", tags=_TAGS, operation_id="transitions_list", parameters=PAGE_PARAMETERS,
        responses={200: described("LeadTransition", _TRANSITION, many=True)},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        moves = LeadTransition.objects.select_related("source", "target").order_by("source__position", "target__position", "pk")
        return paged(request, moves, transition_row)

    @extend_schema(
        request=TransitionIn, summary="Allow a move", tags=_TAGS, operation_id="transitions_create", responses={201: _MOVE_ANSWER}
    )
    def post(self, request: Request, **_: Any) -> Response:
        values = read(TransitionIn, request.data)
        ends = {"source": _end(values, "from_status_id"), "target": _end(values, "to_status_id")}
        return success(request, transition_row(save_transition(**ends, **values, by=self.actor)), message="Transition created", status=201)


def _end(values: dict[str, Any], name: str) -> LeadStatus:
    """Take a status's number out of the values and find it."""
    status = LeadStatus.objects.filter(number=values.pop(name)).first()
    if status is None:
        raise InvalidInput({name: ["There is no such status."]})
    return status


class TransitionView(ApiView):
    """`/settings/transitions/{id}`."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "put": CONFIGURE, "patch": CONFIGURE, "delete": CONFIGURE}

    @extend_schema(summary="Read a move", tags=_TAGS, operation_id="transition_read", responses={200: _MOVE_ANSWER})
    def get(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, transition_row(find_transition(parse_id(id))))

    @extend_schema(
        request=TransitionIn, summary="Change what a move asks for", description="What is left out stays.", tags=_TAGS,
        operation_id="transition_change", responses={200: _MOVE_ANSWER},
    )  # fmt: skip
    def put(self, request: Request, id: str, **_: Any) -> Response:
        move = find_transition(parse_id(id))
        values = {**transition_row(move), **read(TransitionIn, request.data, partial=True)}
        ends = {"source": _end(values, "from_status_id"), "target": _end(values, "to_status_id")}
        asks = {name: values[name] for name in ("required_fields", "needs_reason")}
        saved = save_transition(transition_id=move.pk, **ends, **asks, by=self.actor)
        return success(request, transition_row(saved), message="Transition updated")

    @extend_schema(exclude=True)
    def patch(self, request: Request, id: str, **_: Any) -> Response:
        return self.put(request, id)

    @extend_schema(
        summary="Allow a move no longer", tags=_TAGS, operation_id="transition_delete",
        responses={200: described("DeletedTransition", _GONE, message=True)},
    )  # fmt: skip
    def delete(self, request: Request, id: str, **_: Any) -> Response:
        move = find_transition(parse_id(id))
        pk = move.pk
        delete_transition(move=move, by=self.actor)
        return success(request, {"id": pk, "deleted": True}, message="Transition deleted")
