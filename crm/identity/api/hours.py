"""Working hours of teams and people, and holidays (decision G4)."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.identity.api.inputs import OfTenant, week_field
from crm.identity.api.people import found
from crm.identity.models import Holiday, Team, User
from crm.identity.services.hours import CHANGE, add_holiday, remove_holiday, set_hours
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView

_TAGS = ["working-hours"]
_HOURS_HELP = 'Per weekday, 0 = Monday: {"0": ["09:00", "17:00"]}. Empty: the company\'s.'
_HOURS: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "working_hours": serializers.DictField(help_text=_HOURS_HELP),
    "time_zone": serializers.CharField(help_text="Empty: the company's."),
}
_HOLIDAY: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "date": serializers.DateField(),
    "name": serializers.CharField(),
    "team_id": serializers.IntegerField(allow_null=True, help_text="Null: a holiday of everybody."),
}


class HoursIn(InputSerializer):
    working_hours = week_field()
    time_zone = serializers.CharField(max_length=64, required=False, allow_blank=True)


class HolidayIn(InputSerializer):
    date = serializers.DateField()
    name = serializers.CharField(max_length=80)
    team_id = OfTenant(Team, required=False, allow_null=True, default=None)


def holiday_out(holiday: Holiday) -> dict[str, Any]:
    return {"id": holiday.pk, "date": holiday.date, "name": holiday.name, "team_id": holiday.team_id}


def _hours_out(owner: Team | User) -> dict[str, Any]:
    return {"id": owner.pk, "working_hours": owner.working_hours, "time_zone": owner.time_zone}


class OwnHoursView(ApiView):
    """Base of the hours of a team or a person."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_team", "put": CHANGE}
    noun: ClassVar[str]
    model: ClassVar[type[Team] | type[User]]

    def get(self, request: Request, id: str) -> Response:
        return success(request, _hours_out(found(self.model.objects.all(), id, noun=self.noun)))

    def put(self, request: Request, id: str) -> Response:
        owner = found(self.model.objects.all(), id, noun=self.noun)
        body = read(HoursIn, request.data)
        set_hours(owner=owner, hours=body["working_hours"], time_zone=body.get("time_zone"), by=self.actor)
        return success(request, _hours_out(owner))


_answer: Any = {200: described("OwnHours", _HOURS)}


class TeamHoursView(OwnHoursView):
    """A team's hours."""

    noun, model = "team", Team

    @extend_schema(responses=_answer, tags=_TAGS, summary="Read a team's hours")
    def get(self, request: Request, id: str) -> Response:
        return super().get(request, id)

    @extend_schema(request=HoursIn, responses=_answer, tags=_TAGS, summary="Set a team's hours")
    def put(self, request: Request, id: str) -> Response:
        return super().put(request, id)


class UserHoursView(OwnHoursView):
    """A person's hours."""

    noun, model = "user", User

    @extend_schema(responses=_answer, tags=_TAGS, summary="Read a person's hours")
    def get(self, request: Request, id: str) -> Response:
        return super().get(request, id)

    @extend_schema(request=HoursIn, responses=_answer, tags=_TAGS, summary="Set a person's hours")
    def put(self, request: Request, id: str) -> Response:
        return super().put(request, id)


class HolidaysView(ApiView):
    """Days on which nobody works."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_team", "post": CHANGE}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Holiday", _HOLIDAY, many=True)},
        tags=_TAGS,
        summary="List holidays",
        operation_id="holidays_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, Holiday.objects.all(), holiday_out)

    @extend_schema(request=HolidayIn, responses={201: described("Holiday", _HOLIDAY)}, tags=_TAGS, summary="Add a holiday")
    def post(self, request: Request) -> Response:
        body = read(HolidayIn, request.data)
        holiday = add_holiday(day=body["date"], name=body["name"], team=body["team_id"], by=self.actor)
        return success(request, holiday_out(holiday), status=201)


class HolidayView(ApiView):
    """One holiday."""

    capabilities: ClassVar[dict[str, str]] = {"delete": CHANGE}

    @extend_schema(responses={200: described("HolidayRemoved", message=True)}, tags=_TAGS, summary="Remove a holiday")
    def delete(self, request: Request, id: str) -> Response:
        remove_holiday(holiday=found(Holiday.objects.all(), id, noun="holiday"), by=self.actor)
        return success(request, None, message="The holiday is removed.")
