"""Numbers that must not be called, and the tenant's own settings of the dialer."""

from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.description import component
from crm.rest.views import parse_id
from dialer.api.entries import IMPORTED, MESSAGE, PAGE, UploadIn, answer_import, uploaded
from dialer.api.inputs import DncImportQuery, NumberIn, NumbersQuery, SettingsIn
from dialer.api.output import NUMBER, SETTINGS, number_out, settings_out
from dialer.api.surface import DialerView, read_body, read_query
from dialer.models import DoNotCall
from dialer.permissions import CALL, CONFIGURE, MANAGE
from dialer.selectors.queues import find_agent
from dialer.services.do_not_call import add_number, remove_number
from dialer.services.imports import start_dnc_import
from dialer.services.settings import save_settings, settings_now

_TAGS = ["do-not-call lists"]


class DoNotCallView(DialerView):
    """The numbers on the lists, and one more."""

    capabilities: ClassVar[dict[str, str]] = {"get": MANAGE, "post": CALL}

    @extend_schema(
        parameters=[NumbersQuery],
        responses={200: component("DoNotCallList", {"numbers": component("DoNotCallNumber", NUMBER, many=True), **PAGE})},
        tags=_TAGS,
        summary="List numbers not to call",
        operation_id="do_not_call_list",
    )
    def get(self, request: Request) -> Response:
        asked = read_query(NumbersQuery, request)
        numbers = DoNotCall.objects.select_related("agent").order_by("-pk")
        if "agent_id" in asked:
            numbers = numbers.filter(agent=find_agent(asked["agent_id"], actor=self.actor))
        digits = "".join(char for char in asked.get("search", "") if char.isdigit())
        if digits:
            numbers = numbers.filter(phone__contains=digits.lstrip("0") or digits)
        skip, most = (asked["page"] - 1) * asked["per_page"], asked["per_page"]
        total = numbers.count()
        page = numbers[skip : skip + most] if skip < total else []
        return Response({"numbers": [number_out(listed) for listed in page], "total": total, "page": asked["page"], "per_page": most})

    @extend_schema(request=NumberIn, responses={200: component("DoNotCallNumber", NUMBER)}, tags=_TAGS, summary="Add a number not to call")
    def post(self, request: Request) -> Response:
        body = read_body(NumberIn, request.data)
        agent = find_agent(body["agent_id"], actor=self.actor) if body.get("agent_id") else None
        listed = add_number(
            phone=body["phone"],
            agent_id=agent.pk if agent else None,
            until=body.get("until"),
            reason=body.get("reason", ""),
            now=timezone.now(),
            by=self.actor,
        )
        return Response(number_out(listed))


class DoNotCallNumberView(DialerView):
    """One number."""

    capabilities: ClassVar[dict[str, str]] = {"delete": MANAGE}

    @extend_schema(responses={200: component("DialerMessage", MESSAGE)}, tags=_TAGS, summary="Take a number off its list")
    def delete(self, request: Request, number_id: str) -> Response:
        remove_number(pk=parse_id(number_id, field="number_id"), by=self.actor)
        return Response({"message": "Number removed"})


class DoNotCallImportView(DialerView):
    """Many numbers from a file."""

    capabilities: ClassVar[dict[str, str]] = {"post": MANAGE}
    parser_classes: ClassVar[list[type]] = [MultiPartParser]
    rate_kind = "bulk"

    @extend_schema(
        parameters=[DncImportQuery],
        request={"multipart/form-data": UploadIn},
        responses=IMPORTED,
        tags=_TAGS,
        summary="Add numbers not to call from a file",
    )
    def post(self, request: Request) -> Response:
        asked = read_query(DncImportQuery, request)
        agent = find_agent(asked["agent_id"], actor=self.actor) if "agent_id" in asked else None
        return answer_import(start_dnc_import(file=uploaded(request), agent=agent, by=self.actor))


class DialerSettingsView(DialerView):
    """Who places the calls, and when anybody may be called."""

    capabilities: ClassVar[dict[str, str]] = {"get": CONFIGURE, "put": CONFIGURE, "patch": CONFIGURE}

    @extend_schema(
        responses={200: component("DialerSettings", SETTINGS)}, tags=["settings"], summary="Read the settings", operation_id="settings_read"
    )
    def get(self, request: Request) -> Response:
        return Response(settings_out(settings_now()))

    @extend_schema(request=SettingsIn, responses={200: component("DialerSettings", SETTINGS)}, tags=["settings"], summary="Change settings")
    def put(self, request: Request) -> Response:
        return Response(settings_out(save_settings(values=read_body(SettingsIn, request.data, partial=True), by=self.actor)))

    @extend_schema(
        request=SettingsIn, responses={200: component("DialerSettings", SETTINGS)}, tags=["settings"], summary="Change settings in part"
    )
    def patch(self, request: Request) -> Response:
        return self.put(request)
