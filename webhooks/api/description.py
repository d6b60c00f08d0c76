"""The answers about arrivals and sources, for the API's description."""

from typing import Any

from rest_framework import serializers

from crm.rest.description import component
from leads.enums import Platform
from webhooks.enums import SourceKind
from webhooks.filters import DOORS, STATES


def _text(**options: Any) -> serializers.CharField:
    return serializers.CharField(**options)


def _moment(**options: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=True, **options)


def _number(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(allow_null=True, **options)


def _texts() -> serializers.ListField:
    return serializers.ListField(child=_text())


UTM = ("source", "medium", "campaign", "term", "content")
ARRIVAL: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "state": _text(help_text=f"One of {', '.join(STATES)}"),
    "lead_id": _number(),
    "lead_name": _text(allow_null=True),
    "door": _text(help_text=f"One of {', '.join(DOORS)}"),
    "source_id": _number(help_text="The connection it came in by"),
    "web_form_id": _number(help_text="The web form it came in by"),
    "platform_key": _text(help_text=f"One of {', '.join(Platform.values)}"),
    "source_lead_id": _text(help_text="Its id at the source"),
    "page_id": _text(),
    "page_url": _text(),
    "form_id": _text(),
    "ad_id": _text(),
    "campaign_id": _text(),
    "utm": component("ArrivalUtm", {name: _text() for name in UTM}),
    "created_time": _moment(help_text="When it was filled in, as its source says"),
    "received_at": serializers.DateTimeField(),
    "attempts": serializers.IntegerField(),
    "error": _text(allow_null=True),
    "next_try_at": _moment(),
}
WOULD_BECOME: dict[str, Any] = {
    "ok": serializers.BooleanField(),
    "lead": serializers.DictField(child=_text(), help_text="Values under a lead's names"),
    "custom_fields": serializers.DictField(child=_text()),
    "tags": _texts(),
    "assigned_to": _number(),
    "warnings": _texts(),
    "problems": serializers.DictField(child=_texts(), help_text="Why no lead would be made, by field"),
    "joins_lead_id": _number(help_text="The lead with the same e-mail or phone"),
}
WHOLE_ARRIVAL: dict[str, Any] = {
    **ARRIVAL,
    "payload": serializers.DictField(),
    "would_become": component("WouldBecome", WOULD_BECOME),
}
SOURCE: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "kind": _text(help_text=f"One of {', '.join(SourceKind.values)}"),
    "name": _text(),
    "external_id": _text(help_text="The page's id, the mailbox's address"),
    "address": _text(help_text="Where its sender posts"),
    "options": serializers.DictField(),
    "lead_source": _text(),
    "default_owner_id": _number(),
    "tags": _texts(),
    "is_active": serializers.BooleanField(),
    "has_token": serializers.BooleanField(help_text="A token or password is kept; it is never answered"),
    "signing": serializers.BooleanField(help_text="Posts must be signed"),
    "created_at": serializers.DateTimeField(),
    "checked_at": _moment(),
    "last_error": _text(allow_null=True),
    "last_error_at": _moment(),
    "last_arrival_at": _moment(),
    "failed_arrivals": serializers.IntegerField(),
}
RULE: dict[str, Any] = {
    "field": _text(help_text="A lead's field, or custom:<name>"),
    "from": _texts(),
    "join": _text(required=False, trim_whitespace=False),
    "default": _text(required=False),
}
MAPPING: dict[str, Any] = {
    "form_id": _text(help_text="Empty: all forms without a mapping of their own"),
    "form_name": _text(),
    "rules": component("MappingRule", RULE, many=True),
    "updated_at": serializers.DateTimeField(),
}
