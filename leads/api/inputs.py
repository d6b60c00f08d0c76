"""Bodies and queries of the lead endpoints."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from crm.errors import InvalidInput
from crm.filters import parse_flag
from crm.rest.serializers import InputSerializer, WordChoiceField
from customobjects.services.kinds import check_free_value
from leads.enums import read_priority


class OpaqueIdField(serializers.IntegerField):
    """A user's id. Document 0 writes them as text; ids are opaque to callers, so both are read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class PriorityField(serializers.CharField):
    """A priority's word in any case."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return read_priority(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class FreeMapField(serializers.DictField):
    """A free map. Its keys are kept as they are; size, depth and numbers are bounded."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if len(value) > 200 or any(len(key) > 100 for key in value):
            raise serializers.ValidationError("At most 200 keys of at most 100 characters.")
        if _holds_nul(value):
            raise serializers.ValidationError("Must not hold a NUL character.")
        try:
            check_free_value(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\x00" in key or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_nul(item) for item in value)
    return isinstance(value, str) and "\x00" in value


class AddressInput(InputSerializer):
    city = serializers.CharField(required=False, allow_blank=True, max_length=100)
    state = serializers.CharField(required=False, allow_blank=True, max_length=100)
    country = serializers.CharField(required=False, allow_blank=True, max_length=100)


def _text(length: int) -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=length)


class LeadFields(InputSerializer):
    """The fields a caller may set, under document 0's names and document 1's."""

    name = _text(200)
    full_name = _text(200)
    first_name = _text(100)
    last_name = _text(100)
    email = _text(254)
    phone = _text(60)
    company = _text(200)
    title = _text(150)
    website = _text(300)
    industry = _text(100)
    company_size = _text(30)
    lead_source = _text(60)
    notes = _text(50_000)
    status = serializers.CharField(required=False, max_length=60)
    lost_reason = _text(100)
    priority = PriorityField(required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False, max_length=50)
    assigned_to = OpaqueIdField(required=False, allow_null=True)
    assigned_user_id = OpaqueIdField(required=False, allow_null=True)
    address = AddressInput(required=False, allow_null=True)
    custom_fields = FreeMapField(required=False)
    conversion_probability = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=1)
    next_follow_up = serializers.DateTimeField(required=False, allow_null=True)
    consent_time = serializers.DateTimeField(required=False, allow_null=True)

    def as_services_name_them(self) -> dict[str, Any]:
        return named_for_services(self.validated_data)


_OWN_NAMES = (
    ("next_follow_up", "next_follow_up_at"),
    ("last_contact", "last_contact_at"),
    ("reason", "move_note"),
    ("next_action_required", "next_action"),
)


def named_for_services(given: Mapping[str, Any]) -> dict[str, Any]:
    """Validated fields under the names that the services use."""
    values = dict(given)
    if "full_name" in values:
        values.setdefault("name", values.pop("full_name"))
    if "assigned_user_id" in values:
        values.setdefault("assigned_to", values.pop("assigned_user_id"))
    if "assigned_to" in values:
        values["owner_id"] = values.pop("assigned_to")
    for public, own in _OWN_NAMES:
        if public in values:
            values[own] = values.pop(public)
    values.update(values.pop("address", None) or {})
    return {key: ("" if value is None and key in _TEXTS else value) for key, value in values.items()}


_TEXTS = {
    "name", "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "lead_source", "notes", "lost_reason",
}  # fmt: skip


class LeadCreate(LeadFields):
    """POST /leads. At least one of name, e-mail, phone or company."""

    platform_key = WordChoiceField([("facebook", "Facebook"), ("instagram", "Instagram"), ("website", "Website")], required=False)
    raw_field_data = FreeMapField(required=False)
    skip_enrichment = serializers.BooleanField(required=False, default=False)
    ignore_duplicates = serializers.BooleanField(required=False, default=False)


class LeadUpdate(LeadFields):
    """PUT and PATCH /leads/{id}: a partial update."""

    last_contact = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=500, help_text="Why the status changes; kept in the stage history"
    )
    next_action_required = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=255, help_text="What is to be done in the new status"
    )


def flag(params: Any, name: str, *, default: bool) -> bool:
    """A switch in the query, or 400 naming it."""
    text = params.get(name, "")
    if not text:
        return default
    try:
        return parse_flag(text)
    except ValueError as error:
        raise InvalidInput({name: [str(error)]}) from None
