"""Bodies, queries and answers of the activity endpoints."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from activities.enums import ActivityPriority, ActivityStatus, ActivityType, read_priority, read_status, read_type
from activities.models import Activity
from activities.services.recurrence import zone_for
from activities.services.snoozing import MORNING
from crm.errors import InvalidInput
from crm.identity.models import User
from crm.rest.description import component, described
from crm.rest.serializers import InputSerializer, WordChoiceField
from crm.rest.views import parse_id
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_scope

TAGS = ["activities"]
_PRIORITIES = [(item.word, str(item.label)) for item in ActivityPriority]


class MomentField(serializers.DateTimeField):
    """A moment. Without a zone it is the caller's local time; a day alone is nine o'clock there, as when people put off to a day."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            day = parse_date(value) if isinstance(value, str) else None
        except ValueError:
            day = None
        moment: datetime = super().to_internal_value(value if day is None else f"{day}T{MORNING}")
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            caller = current_scope().actor
            user = User.objects.filter(pk=caller.user_id).first() if caller is not None and caller.user_id else None
            value = value.replace(tzinfo=zone_for(user))
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")


class ActivityIn(InputSerializer):
    """S1-36, and what the product adds to it."""

    lead_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    activity_type = WordChoiceField(ActivityType.choices)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000, default="")
    next_follow_up_date = MomentField(required=False, allow_null=True, default=None)
    priority = WordChoiceField(_PRIORITIES, synonyms={"critical": "urgent"}, required=False, default="medium")
    status = WordChoiceField(ActivityStatus.choices, required=False, default=ActivityStatus.PENDING)
    user_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1, default=None)
    duration = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=43_200, default=None, help_text="Minutes")
    outcome = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")
    location = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")
    attendees = serializers.ListField(child=serializers.CharField(max_length=254), required=False, max_length=50, default=list)
    invite = serializers.BooleanField(required=False, default=False, help_text="Mail the attendees of a meeting an invitation")
    remind_before = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=43_200, default=None, help_text="Minutes before it is due"
    )
    recurrence = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=150,
        default="",
        help_text="A daily, weekly or monthly rule, such as FREQ=WEEKLY;BYDAY=MO",
    )


class StatusIn(InputSerializer):
    """S1-44."""

    activity_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    status = WordChoiceField(ActivityStatus.choices)
    notes = serializers.CharField(required=False, allow_blank=True, max_length=10_000, default="")
    outcome = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class FollowUpIn(InputSerializer):
    """S1-45."""

    activity_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    next_follow_up_date = MomentField(allow_null=True)
    notes = serializers.CharField(required=False, allow_blank=True, max_length=10_000, default="")


class ManyFollowUpsIn(InputSerializer):
    """S1-46."""

    activity_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), allow_empty=False, max_length=100_000
    )
    next_follow_up_date = MomentField()
    notes = serializers.CharField(required=False, allow_blank=True, max_length=1000, default="")


class SnoozeIn(InputSerializer):
    """Until when an activity rests."""

    until = MomentField()


def activity_out(row: Activity) -> dict[str, Any]:
    """An activity under document 1's keys, and the product's beside them."""
    return {
        "id": row.pk,
        "entity_id": row.tenant_id,
        "lead_id": row.lead_id,
        "user_id": row.user_id,
        "activity_type": row.activity_type,
        "description": row.description,
        "next_follow_up_date": row.due_at,
        "priority": ActivityPriority(row.priority).word,
        "status": row.status,
        "duration": row.duration,
        "outcome": row.outcome,
        "notes": row.notes,
        "location": row.location,
        "attendees": row.attendees,
        "remind_at": row.remind_at,
        "snoozed_until": row.snoozed_until,
        "recurrence": row.recurrence,
        "completed_at": row.completed_at,
        "occurred_at": row.occurred_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def follow_up_out(row: Activity, now: datetime) -> dict[str, Any]:
    """A follow-up with the hours left, below nothing once it is overdue, and its lead (rule 1.51)."""
    assert row.due_at is not None
    return {
        **activity_out(row),
        "hours_until_follow_up": round((row.due_at - now).total_seconds() / 3600),
        "lead_email": row.lead.email,
        "lead_first_name": row.lead.first_name,
        "lead_last_name": row.lead.last_name,
    }


# --- queries ---


def chosen(params: Mapping[str, Any], name: str) -> Any:
    """A filter's value, or None where the query has none. Raises InvalidInput naming it."""
    text = str(params.get(name, "") or "").strip()
    if not text:
        return None
    try:
        match name:
            case "activity_type":
                return read_type(text)
            case "priority":
                return read_priority(text)
            case "status":
                return read_status(text)
    except ValueError as error:
        raise InvalidInput({name: [str(error)]}) from None
    return parse_id(text, field=name)


def zone() -> ZoneInfo:
    return ZoneInfo(current_tenant().time_zone)


def day_of(params: Mapping[str, Any], name: str) -> date | None:
    """A day of the tenant's zone, from a date or a moment."""
    found = _parsed(params, name)
    return found.astimezone(zone()).date() if isinstance(found, datetime) else found


def bound_of(params: Mapping[str, Any], name: str, *, ends: bool = False) -> datetime | None:
    """A moment. A day counts whole: from its start, or to its end."""
    found = _parsed(params, name)
    if found is None or isinstance(found, datetime):
        return found
    if ends and found < date.max:
        found += timedelta(days=1)
    return datetime.combine(found, time(), tzinfo=zone())


def _parsed(params: Mapping[str, Any], name: str) -> date | datetime | None:
    text = str(params.get(name, "") or "").strip().replace(" ", "+")
    if not text:
        return None
    try:
        moment = parse_datetime(text) if "T" in text else None
        day = parse_date(text) if moment is None else None
        if moment is not None:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            moment.astimezone(zone())
    except (ValueError, OverflowError):
        moment = day = None
    if moment is None and day is None:
        raise InvalidInput({name: ["Must be a date such as 2024-01-31 or 2024-01-31T09:00:00Z."]})
    return moment if moment is not None else day


def parameters(*names: str) -> list[OpenApiParameter]:
    kinds = {"limit": int, "offset": int, "user_id": int}
    return [OpenApiParameter(name, kinds.get(name, str)) for name in names]


# --- the API's description ---


def _moment() -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=True)


ACTIVITY: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "entity_id": serializers.IntegerField(help_text="The tenant"),
    "lead_id": serializers.IntegerField(),
    "user_id": serializers.IntegerField(allow_null=True),
    "activity_type": serializers.ChoiceField(ActivityType.choices),
    "description": serializers.CharField(),
    "next_follow_up_date": _moment(),
    "priority": serializers.ChoiceField(_PRIORITIES),
    "status": serializers.ChoiceField(ActivityStatus.choices),
    "duration": serializers.IntegerField(allow_null=True, help_text="Minutes"),
    "outcome": serializers.CharField(),
    "notes": serializers.CharField(),
    "location": serializers.CharField(),
    "attendees": serializers.ListField(child=serializers.CharField()),
    "remind_at": _moment(),
    "snoozed_until": _moment(),
    "recurrence": serializers.CharField(),
    "completed_at": _moment(),
    "occurred_at": serializers.DateTimeField(),
    "created_at": serializers.DateTimeField(),
    "updated_at": serializers.DateTimeField(),
}
_FOLLOW_UP = {
    **ACTIVITY,
    "hours_until_follow_up": serializers.IntegerField(),
    "lead_email": serializers.CharField(),
    "lead_first_name": serializers.CharField(),
    "lead_last_name": serializers.CharField(),
}
_ENTRY = {
    "id": serializers.CharField(),
    "activity_type": serializers.CharField(),
    "timestamp": serializers.DateTimeField(),
    "description": serializers.CharField(),
    "category": serializers.CharField(),
    "user_id": serializers.CharField(help_text="A number, or system"),
    "time_ago": serializers.CharField(),
    "data": serializers.DictField(required=False),
}
LOGGED = described(
    "ActivityLogged",
    {
        "activity_id": serializers.IntegerField(),
        "activity": component("Activity", ACTIVITY),
        "next_follow_up": serializers.DateTimeField(allow_null=True, help_text="When the lead is followed up next"),
        "not_told": serializers.ListField(child=serializers.CharField(), help_text="People named in the text who may not see the lead"),
    },
    message=True,
)
ONE = described("Activity", ACTIVITY)
ROWS = described("Activity", ACTIVITY, many=True)
FOLLOW_UPS = described("FollowUp", _FOLLOW_UP, many=True)
ENTRIES = described("TimelineEntry", _ENTRY, many=True)
TIMELINE = described(
    "Timeline",
    {
        "lead_id": serializers.IntegerField(),
        "lead_name": serializers.CharField(),
        "timeline": component("TimelineEntry", _ENTRY, many=True),
        "statistics": serializers.DictField(),
        "summary": serializers.DictField(),
        "next_cursor": serializers.CharField(allow_null=True),
    },
)
COUNTS = described("ActivityCounts", {"activity_type": serializers.CharField(), "total_activities": serializers.IntegerField()}, many=True)
MAP = described("ActivityFigures", {"total_activities": serializers.IntegerField()})
