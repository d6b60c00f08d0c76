"""Bodies and queries of the dialer's API."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.rest.serializers import InputSerializer, WordChoiceField
from crm.words import word_key
from crm.worktime import read_week
from dialer.api.surface import PageQuery
from dialer.enums import BY_PERSON, RETRYABLE, AgentKind, CallOutcome, CallResult, DialMode, Disposition, EntryStatus, ProviderName
from dialer.services.agents import MOST_HOLIDAYS, MOST_MEMBERS, MOST_SCRIPT
from dialer.services.entries import MOST_NAME
from dialer.services.filling import filters_in

_E164 = re.compile(r"\+[1-9][0-9]{0,14}")
_NO_E164 = "Phone number must be in E.164 format"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Days of a history that calendars of any zone can show; what lies outside is the nearest of them.
_EARLIEST, _LATEST = date(1970, 1, 2), date(2999, 12, 31)


class E164Field(serializers.CharField):
    """A number in E.164 as it is written; whether it could be dialled is the service's to say."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=True, error_messages={"null": _NO_E164, "blank": _NO_E164}, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not _E164.fullmatch(data.strip()):
            raise serializers.ValidationError(_NO_E164)
        return data.strip()


class DayField(serializers.DateField):
    """A day as YYYY-MM-DD."""

    def __init__(self, **options: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], error_messages={"invalid": "Must be a day such as 2025-06-30"}, **options)

    def to_internal_value(self, value: Any) -> date:
        return min(max(super().to_internal_value(value), _EARLIEST), _LATEST)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "array", "items": {}}})
class HoursField(serializers.Field):  # type: ignore[type-arg]
    """Hours by weekday: its name, or 0 for Monday, with one span or several, such as `{"monday": [["09:00", "17:00"]]}`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("Must be an object of weekdays")
        stored: dict[str, Any] = {}
        for day, spans in data.items():
            word = word_key(str(day))
            name = str(WEEKDAYS.index(word)) if word in WEEKDAYS else word
            if name in stored:
                raise serializers.ValidationError(f"{day} is given twice: name each weekday once")
            stored[name] = spans or []
        try:
            read_week(stored)
        except (ValueError, TypeError, KeyError, IndexError):
            text = 'Give spans such as {"monday": [["09:00", "17:00"]]}, each ending after its start and none overlapping'
            raise serializers.ValidationError(text) from None
        return stored

    def to_representation(self, value: Any) -> Any:
        return {WEEKDAYS[int(day)]: spans for day, spans in value.items()}


# --- entries ---


class EntryIn(InputSerializer):
    agent_id = serializers.UUIDField()
    first_name = serializers.CharField(max_length=MOST_NAME)
    phone_e164 = E164Field()
    custom_fields = serializers.DictField(required=False, allow_null=True)
    schedule_at = serializers.DateTimeField(required=False, allow_null=True)


class EntryChangeIn(InputSerializer):
    first_name = serializers.CharField(max_length=MOST_NAME, required=False)
    phone_e164 = E164Field(required=False)
    status = WordChoiceField(EntryStatus.choices, required=False)
    custom_fields = serializers.DictField(required=False, allow_null=True)
    schedule_at = serializers.DateTimeField(required=False, allow_null=True)
    disposition = WordChoiceField(Disposition.choices, required=False, allow_null=True)


class EntriesQuery(PageQuery):
    agent_id = serializers.UUIDField(required=False)
    status_filter = WordChoiceField(EntryStatus.choices, required=False)
    search = serializers.CharField(required=False, max_length=200)


class ImportQuery(InputSerializer):
    agent_id = serializers.UUIDField()


class OutcomeIn(InputSerializer):
    result = WordChoiceField([(result.value, result.label) for result in BY_PERSON])
    notes = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    callback_at = serializers.DateTimeField(required=False, allow_null=True)
    for_anyone = serializers.BooleanField(required=False)


class FillIn(InputSerializer):
    agent_id = serializers.UUIDField()
    query = serializers.CharField(required=False, max_length=8000, help_text="As the address of a list of leads has it")
    lead_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_empty=False,
        help_text="Ids of the CRM, instead of a query",
    )
    all = serializers.BooleanField(required=False, help_text="Every lead in sight, instead of a query")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(bool(attrs.get(name)) for name in ("query", "lead_ids", "all")) != 1:
            raise serializers.ValidationError("Give exactly one of query, lead_ids and all: true")
        # What says only how a list is shown would be every lead.
        if "query" in attrs and not filters_in(attrs["query"]):
            raise serializers.ValidationError({"query": "Narrows nothing; give all: true for every lead"})
        return attrs


# --- calls ---


class ScheduleIn(InputSerializer):
    lead_id = serializers.UUIDField()


class SpanQuery(InputSerializer):
    """An agent and a span of whole days."""

    agent_id = serializers.UUIDField(required=False)
    start_date = DayField(required=False)
    end_date = DayField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start_date" in attrs and "end_date" in attrs and attrs["end_date"] < attrs["start_date"]:
            raise serializers.ValidationError({"end_date": "Must not be before start_date"})
        return attrs


class HistoryQuery(PageQuery, SpanQuery):
    outcome = WordChoiceField(CallOutcome.choices, required=False)
    search = serializers.CharField(required=False, max_length=200)


# --- agents ---


class RuleIn(InputSerializer):
    result = WordChoiceField([(result.value, result.label) for result in RETRYABLE])
    delay_minutes = serializers.IntegerField(required=False, min_value=0)
    max_tries = serializers.IntegerField(required=False, min_value=0, source="most_tries")
    another_hour = serializers.BooleanField(required=False)
    disposition = WordChoiceField(Disposition.choices, required=False)


class RulesIn(InputSerializer):
    retry_rules = serializers.ListField(child=RuleIn(), max_length=len(CallResult))


class AgentIn(InputSerializer):
    name = serializers.CharField(max_length=100)
    kind = WordChoiceField(AgentKind.choices, required=False)
    is_active = serializers.BooleanField(required=False)
    time_zone = serializers.CharField(max_length=64, required=False, allow_blank=True, allow_null=True)
    business_hours = HoursField(required=False, allow_null=True)
    holidays = serializers.ListField(child=DayField(), required=False, max_length=MOST_HOLIDAYS)
    keeps_company_holidays = serializers.BooleanField(required=False, source="keeps_tenant_holidays")
    max_attempts = serializers.IntegerField(required=False, min_value=1)
    retry_delay_minutes = serializers.IntegerField(required=False, min_value=0)
    max_concurrent_calls = serializers.IntegerField(required=False, min_value=1, source="most_calls")
    caller_id = serializers.CharField(max_length=40, required=False, allow_blank=True, allow_null=True)
    mode = WordChoiceField(DialMode.choices, required=False)
    lines_per_person = serializers.IntegerField(required=False, min_value=1, source="lines")
    ring_seconds = serializers.IntegerField(required=False, min_value=1)
    countdown_seconds = serializers.IntegerField(required=False, min_value=0)
    detect_machines = serializers.BooleanField(required=False)
    script = serializers.CharField(required=False, allow_blank=True, max_length=MOST_SCRIPT)
    members = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=MOST_MEMBERS, help_text="User ids"
    )
    retry_rules = serializers.ListField(child=RuleIn(), required=False, max_length=len(CallResult))


class AgentsQuery(PageQuery):
    search = serializers.CharField(required=False, max_length=100)


# --- do-not-call lists, settings ---


class NumberIn(InputSerializer):
    phone = serializers.CharField(max_length=60, help_text="In any notation")
    agent_id = serializers.UUIDField(required=False, allow_null=True, help_text="Only for this agent; else for everybody")
    until = DayField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class NumbersQuery(PageQuery):
    agent_id = serializers.UUIDField(required=False)
    search = serializers.CharField(required=False, max_length=60)


class DncImportQuery(InputSerializer):
    agent_id = serializers.UUIDField(required=False)


class SettingsIn(InputSerializer):
    provider = WordChoiceField(ProviderName.choices, required=False)
    account_sid = serializers.CharField(max_length=64, required=False, allow_blank=True)
    auth_token = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text="Stored sealed, never answered")
    caller_id = serializers.CharField(max_length=16, required=False, allow_blank=True)
    window_start = serializers.TimeField(required=False)
    window_end = serializers.TimeField(required=False)
    window_days = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=6), required=False, max_length=7, help_text="0 is Monday; none is every day"
    )
    most_calls_a_day = serializers.IntegerField(required=False, min_value=1, max_value=100)
    most_abandoned = serializers.DecimalField(max_digits=4, decimal_places=1, required=False, min_value=0, max_value=100)
    record_calls = serializers.BooleanField(required=False)
    keep_recordings_days = serializers.IntegerField(required=False, min_value=1, max_value=3650)
