"""S2-07 to S2-09: call somebody now, the calls that were made, and their figures."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.db.models.fields.files import FieldFile
from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from crm.exporting import Download
from crm.rest.description import component
from crm.rest.files import file_response
from dialer.api.entries import MESSAGE, PAGE
from dialer.api.inputs import HistoryQuery, ScheduleIn, SpanQuery
from dialer.api.output import CALL, METRICS, calls_out
from dialer.api.surface import DialerView, read_body, read_query, read_uuid
from dialer.errors import NoSuchCall
from dialer.selectors.history import CallsAsked, history_page
from dialer.selectors.metrics import metrics
from dialer.selectors.queues import calls_visible_to, find_agent, find_entry
from dialer.services.entries import schedule_now

_TAGS = ["calls"]


class ScheduleView(DialerView):
    """S2-07."""

    @extend_schema(
        request=ScheduleIn, responses={200: component("DialerMessage", MESSAGE)}, tags=_TAGS, summary="Have a lead called before all others"
    )
    def post(self, request: Request) -> Response:
        entry = find_entry(read_body(ScheduleIn, request.data)["lead_id"], actor=self.actor)
        schedule_now(entry_id=entry.pk, now=timezone.now(), by=self.actor)
        return Response({"message": "Lead scheduled successfully"})


class _OfAgents(DialerView):
    def agent_id(self, asked: dict[str, Any]) -> int | None:
        return find_agent(asked["agent_id"], actor=self.actor).pk if "agent_id" in asked else None


class HistoryView(_OfAgents):
    """S2-08."""

    @extend_schema(
        parameters=[HistoryQuery],
        responses={200: component("CallList", {"calls": component("DialerCall", CALL, many=True), **PAGE})},
        tags=_TAGS,
        summary="List past calls",
        operation_id="calls_history",
    )
    def get(self, request: Request) -> Response:
        asked = read_query(HistoryQuery, request)
        wanted = CallsAsked(
            agent_id=self.agent_id(asked),
            outcome=asked.get("outcome", ""),
            since=asked.get("start_date"),
            until=asked.get("end_date"),
            search=asked.get("search", ""),
        )
        calls, total = history_page(actor=self.actor, asked=wanted, page=asked["page"], per_page=asked["per_page"])
        return Response(
            {"calls": calls_out(calls, request, actor=self.actor), "total": total, "page": asked["page"], "per_page": asked["per_page"]}
        )


class CallMetricsView(_OfAgents):
    """S2-09."""

    @extend_schema(
        parameters=[SpanQuery],
        responses={200: component("CallMetrics", METRICS)},
        tags=_TAGS,
        summary="Sum up calls",
        operation_id="calls_metrics",
    )
    def get(self, request: Request) -> Response:
        asked = read_query(SpanQuery, request)
        return Response(
            metrics(actor=self.actor, agent_id=self.agent_id(asked), since=asked.get("start_date"), until=asked.get("end_date"))
        )


def _pieces(file: FieldFile) -> Iterator[bytes]:
    with file.storage.open(str(file.name), "rb") as opened:
        yield from opened.chunks()


class CallTranscriptView(DialerView):
    """What was said in a call, as a file."""

    kept: ClassVar[str] = "transcript"

    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, tags=_TAGS, summary="Download what was said in a call"
    )
    def get(self, request: Request, call_id: str) -> HttpResponseBase:
        call = calls_visible_to(self.actor).filter(public_id=read_uuid(call_id, name="call_id")).defer("search").first()
        file = getattr(call, self.kept) if call is not None else None
        if not file:
            raise NoSuchCall
        name = file.name.rsplit("/", 1)[-1]
        kind = "text/plain; charset=utf-8" if name.endswith(".txt") else "application/octet-stream"
        return file_response(Download(name=name, content_type=kind, content=_pieces(file), size=file.size))


class CallRecordingView(CallTranscriptView):
    """How a call sounded, as a file."""

    kept = "recording"

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, tags=_TAGS, summary="Download a call's recording")
    def get(self, request: Request, call_id: str) -> HttpResponseBase:
        return super().get(request, call_id)
