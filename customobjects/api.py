"""Endpoints of custom fields: their definitions, and their order."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.filters import parse_flag
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from customobjects.enums import COLOURS, FieldKind
from customobjects.models import FieldDefinition
from customobjects.permissions import CONFIGURE, VIEW
from customobjects.selectors import all_definitions, may_see
from customobjects.services.definitions import (
    FieldSettings,
    check_definition,
    delete_definition,
    find_definition,
    order_definitions,
    save_definition,
)

_TAGS = ["custom fields"]
_MODEL = "leads.Lead"
_CHOICE: dict[str, Any] = {
    "value": serializers.CharField(),
    "label": serializers.CharField(),
    "color": serializers.ChoiceField(["", *COLOURS]),
}
FIELD: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "model": serializers.CharField(),
    "key": serializers.CharField(help_text="Under which `custom_fields` holds the value"),
    "label": serializers.CharField(),
    "help_text": serializers.CharField(),
    "kind": serializers.ChoiceField(FieldKind.choices),
    "choices": component("CustomFieldChoice", _CHOICE, many=True),
    "currency": serializers.CharField(allow_null=True),
    "required": serializers.BooleanField(),
    "unique": serializers.BooleanField(),
    "default": serializers.JSONField(allow_null=True),
    "visible_to": serializers.ListField(child=serializers.CharField(), help_text="Codes of roles; empty: all"),
    "editable_by": serializers.ListField(child=serializers.CharField(), help_text="Codes of roles; empty: all who see it"),
    "in_list": serializers.BooleanField(),
    "in_forms": serializers.BooleanField(),
    "position": serializers.IntegerField(),
    "is_active": serializers.BooleanField(),
    "created_at": serializers.DateTimeField(),
    "updated_at": serializers.DateTimeField(),
}
_SAME = ("label", "key", "help_text", "choices", "currency", "required", "unique", "default", "visible_to", "editable_by", "in_list", "in_forms", "is_active")  # fmt: skip


class ChoiceIn(InputSerializer):
    label = serializers.CharField(max_length=80)
    value = serializers.CharField(max_length=60, required=False, allow_blank=True)
    color = serializers.ChoiceField(["", *COLOURS], required=False, allow_blank=True)


class ChoicesField(serializers.ListField):
    """Choices as texts, or as objects with value and colour."""

    child = serializers.JSONField()

    def to_internal_value(self, data: Any) -> Any:
        return [item if isinstance(item, str) else read(ChoiceIn, item) for item in super().to_internal_value(data)]


def _codes() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=100)


class FieldChangeIn(InputSerializer):
    """What a field is set to. Kind and key stay."""

    label = serializers.CharField(max_length=80)
    help_text = serializers.CharField(max_length=200, required=False, allow_blank=True)
    choices = ChoicesField(required=False, max_length=200)
    currency = serializers.CharField(max_length=3, required=False, allow_blank=True, allow_null=True)
    required = serializers.BooleanField(required=False)
    unique = serializers.BooleanField(required=False)
    default = serializers.JSONField(required=False, allow_null=True)
    visible_to = _codes()
    editable_by = _codes()
    in_list = serializers.BooleanField(required=False)
    in_forms = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)
    kind = WordChoiceField(FieldKind.choices, required=False)
    key = serializers.CharField(max_length=50, required=False, allow_blank=True)


class FieldIn(FieldChangeIn):
    """A new field. Without a key it gets one from its name."""

    kind = WordChoiceField(FieldKind.choices)
    model = serializers.CharField(max_length=60, required=False, default=_MODEL)


class OrderIn(InputSerializer):
    model = serializers.CharField(max_length=60, required=False, default=_MODEL)
    ids = serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=300)


def field_out(item: FieldDefinition) -> dict[str, Any]:
    same = ("model", "key", "label", "help_text", "kind", "choices", "required", "unique", "default", "visible_to", "editable_by")
    more = ("in_list", "in_forms", "position", "is_active", "created_at", "updated_at")
    return {"id": item.pk, **{name: getattr(item, name) for name in (*same, *more)}, "currency": item.currency or None}


def wanted_settings(body: dict[str, Any], item: FieldDefinition | None) -> FieldSettings:
    """What a field is to be set to: what the body names, over what it is set to now."""
    before = {name: getattr(item, name) for name in _SAME} if item else {}
    given = {name: body[name] for name in _SAME if name in body}
    kind = body.get("kind") or (item.kind if item else "")
    values = {**before, **given}
    return FieldSettings(**{**values, "currency": values.get("currency") or "", "key": values.get("key") or ""}, kind=FieldKind(kind))


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "")
    try:
        return bool(text) and parse_flag(text)
    except ValueError as error:
        raise InvalidInput({name: [str(error)]}) from None


class FieldsView(ApiView):
    """The fields of a kind of record, and adding one."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW, "post": CONFIGURE}

    @extend_schema(
        parameters=[
            OpenApiParameter("model", str, description="Only those of these records, such as leads.Lead"),
            OpenApiParameter("include_inactive", bool, description="Those switched off as well"),
            *PAGE_PARAMETERS,
        ],
        responses={200: described("CustomField", FIELD, many=True)},
        tags=_TAGS,
        summary="List custom fields",
        operation_id="custom_fields_list",
    )
    def get(self, request: Request) -> Response:
        with_inactive = _flag(request, "include_inactive")
        rows = all_definitions(request.query_params.get("model", "")[:60])
        fields = [item for item in rows if (item.is_active or with_inactive) and self._may_know(item)]
        return paged(request, fields, field_out)

    def _may_know(self, item: FieldDefinition) -> bool:
        return self.actor.can(CONFIGURE) or may_see(item, self.actor)

    @extend_schema(
        request=FieldIn, responses={201: described("CustomField", FIELD, message=True)}, tags=_TAGS, summary="Add a custom field"
    )
    def post(self, request: Request) -> Response:
        body = read(FieldIn, request.data)
        item = save_definition(definition=None, model=body["model"], wanted=wanted_settings(body, None), by=self.actor)
        return success(request, field_out(item), message="Field added.", status=201)


class FieldView(ApiView):
    """One field. Deleting it keeps the values with their records; only a field that everybody sees can be deleted."""

    capabilities: ClassVar[dict[str, str]] = {"get": CONFIGURE, "put": CONFIGURE, "patch": CONFIGURE, "delete": CONFIGURE}

    @extend_schema(responses={200: described("CustomField", FIELD)}, tags=_TAGS, summary="Read a custom field")
    def get(self, request: Request, id: str) -> Response:
        return success(request, field_out(find_definition(definition_id=parse_id(id))))

    def _change(self, request: Request, id: str, *, partial: bool) -> Response:
        item = find_definition(definition_id=parse_id(id), lock=True)
        body = read(FieldChangeIn, request.data, partial=partial)
        item = save_definition(definition=item, model=item.model, wanted=wanted_settings(body, item), by=self.actor)
        return success(request, field_out(item), message="Field changed.")

    @extend_schema(
        request=FieldChangeIn, responses={200: described("CustomField", FIELD, message=True)}, tags=_TAGS, summary="Change a custom field"
    )
    def put(self, request: Request, id: str) -> Response:
        return self._change(request, id, partial=False)

    @extend_schema(
        request=FieldChangeIn,
        responses={200: described("CustomField", FIELD, message=True)},
        tags=_TAGS,
        summary="Change parts of a custom field",
    )
    def patch(self, request: Request, id: str) -> Response:
        return self._change(request, id, partial=True)

    @extend_schema(responses={200: described("CustomFieldDeleted", message=True)}, tags=_TAGS, summary="Delete a custom field")
    def delete(self, request: Request, id: str) -> Response:
        delete_definition(definition=find_definition(definition_id=parse_id(id), lock=True), by=self.actor)
        return success(request, None, message="Field deleted. Its values stay with their records.")


class OrderView(ApiView):
    """The order in which fields are shown."""

    capabilities: ClassVar[dict[str, str]] = {"post": CONFIGURE}

    @extend_schema(request=OrderIn, responses={200: described("CustomField", FIELD, many=True)}, tags=_TAGS, summary="Order custom fields")
    def post(self, request: Request) -> Response:
        body = read(OrderIn, request.data)
        order_definitions(model=body["model"], ids=body["ids"], by=self.actor)
        return success(request, [field_out(item) for item in all_definitions(body["model"])])


class ValidateView(ApiView):
    """Whether a definition would be taken, without making it."""

    capabilities: ClassVar[dict[str, str]] = {"post": CONFIGURE}

    @extend_schema(
        request=FieldIn,
        responses={200: described("CustomFieldChecked", {"valid": serializers.BooleanField(), "key": serializers.CharField()})},
        tags=_TAGS,
        summary="Check a custom field",
    )
    def post(self, request: Request) -> Response:
        body = read(FieldIn, request.data)
        item = check_definition(definition=None, model=body["model"], wanted=wanted_settings(body, None))
        return success(request, {"valid": True, "key": item.key})
