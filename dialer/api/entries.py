"""S2-01 to S2-06: leads to be called. Besides document 2: why one is not being called, what came of its call, and lists of the CRM as a queue."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm.operations import runner
from crm.operations.models import Operation
from crm.operations.selectors import operations_visible_to
from crm.rest.description import component
from crm.rest.views import parse_id
from dialer.api.inputs import EntriesQuery, EntryChangeIn, EntryIn, FillIn, ImportQuery, OutcomeIn
from dialer.api.output import CALL, ENTRY, IMPORT, WHY, calls_out, entries_out, entry_out, import_out, why_out
from dialer.api.surface import DialerView, Unprocessable, read_body, read_query, read_uuid
from dialer.enums import AgentKind, CallResult
from dialer.errors import NoSuchCall, NoSuchImport
from dialer.models import QueueEntry
from dialer.permissions import CALL as MAY_CALL
from dialer.permissions import MANAGE
from dialer.selectors.history import calls_in_order
from dialer.selectors.queues import EntriesAsked, calls_visible_to, entries_page, find_agent, find_entry
from dialer.services import filling, imports
from dialer.services.calls import record_outcome
from dialer.services.entries import change_entry, delete_entry, queue_lead
from dialer.services.limits import why_not

_TAGS = ["leads to be called"]
# So many rows are answered at once; more run as an operation (decision C49).
AT_ONCE = 1000
# Nothing stands against it, but no machine will call it either.
_WAITS = "May be called now; waits for somebody to take it."
MESSAGE = {"message": serializers.CharField()}
PAGE = {"total": serializers.IntegerField(), "page": serializers.IntegerField(), "per_page": serializers.IntegerField()}


class EntriesView(DialerView):
    """S2-01, S2-02."""

    @extend_schema(
        parameters=[EntriesQuery],
        responses={200: component("EntryList", {"leads": component("Entry", ENTRY, many=True), **PAGE})},
        tags=_TAGS,
        summary="List leads to be called",
        operation_id="leads_list",
    )
    def get(self, request: Request) -> Response:
        asked = read_query(EntriesQuery, request)
        agent = find_agent(asked["agent_id"], actor=self.actor) if "agent_id" in asked else None
        wanted = EntriesAsked(agent=agent, status=asked.get("status_filter", ""), search=asked.get("search", ""))
        entries, total = entries_page(actor=self.actor, asked=wanted, page=asked["page"], per_page=asked["per_page"])
        return Response(
            {"leads": entries_out(entries, actor=self.actor), "total": total, "page": asked["page"], "per_page": asked["per_page"]}
        )

    @extend_schema(request=EntryIn, responses={200: component("Entry", ENTRY)}, tags=_TAGS, summary="Add a lead to be called")
    def post(self, request: Request) -> Response:
        body = read_body(EntryIn, request.data)
        agent = find_agent(body["agent_id"], actor=self.actor)
        entry = queue_lead(
            agent=agent,
            first_name=body["first_name"],
            phone=body["phone_e164"],
            custom_fields=body.get("custom_fields"),
            schedule_at=body.get("schedule_at"),
            now=timezone.now(),
            by=self.actor,
        )
        return Response(entry_out(entry, actor=self.actor))


class EntryView(DialerView):
    """S2-03 to S2-05."""

    @extend_schema(responses={200: component("Entry", ENTRY)}, tags=_TAGS, summary="Read a lead to be called", operation_id="leads_read")
    def get(self, request: Request, lead_id: str) -> Response:
        return Response(entry_out(self.entry(lead_id), actor=self.actor))

    @extend_schema(request=EntryChangeIn, responses={200: component("Entry", ENTRY)}, tags=_TAGS, summary="Change a lead to be called")
    def put(self, request: Request, lead_id: str) -> Response:
        entry = self.entry(lead_id)
        body = read_body(EntryChangeIn, request.data, partial=True)
        changes = {{"phone_e164": "phone"}.get(name, name): value for name, value in body.items()}
        changed = change_entry(entry_id=entry.pk, changes=changes, now=timezone.now(), by=self.actor)
        changed.agent = entry.agent
        return Response(entry_out(changed, actor=self.actor))

    @extend_schema(request=EntryChangeIn, responses={200: component("Entry", ENTRY)}, tags=_TAGS, summary="Change a lead in part")
    def patch(self, request: Request, lead_id: str) -> Response:
        return self.put(request, lead_id)

    @extend_schema(responses={200: component("DialerMessage", MESSAGE)}, tags=_TAGS, summary="Take a lead out of its queue")
    def delete(self, request: Request, lead_id: str) -> Response:
        delete_entry(entry_id=self.entry(lead_id).pk, now=timezone.now(), by=self.actor)
        return Response({"message": "Lead deleted"})

    def entry(self, lead_id: str) -> QueueEntry:
        return find_entry(read_uuid(lead_id, name="lead_id"), actor=self.actor)


class EntryWhyView(EntryView):
    """Why a lead is not being called at this moment, and when that may change."""

    http_method_names = ["get", "options"]

    @extend_schema(
        responses={200: component("WhyNot", WHY)}, tags=_TAGS, summary="Say why a lead is not being called", operation_id="leads_why"
    )
    def get(self, request: Request, lead_id: str) -> Response:
        entry = self.entry(lead_id)
        said = why_not(entries=[entry], now=timezone.now(), user_id=self.actor.user_id)[entry.pk]
        waits = said.may_call and entry.agent.kind == AgentKind.HUMAN
        text = _WAITS if waits else said.text
        return Response(why_out(may_call=said.may_call, reason=said.reason, text=str(text), at=said.at))


class EntryOutcomeView(EntryView):
    """What came of the last call of a lead, said by a person."""

    http_method_names = ["post", "options"]

    @extend_schema(request=OutcomeIn, responses={200: component("DialerCall", CALL)}, tags=_TAGS, summary="Say what came of a lead's call")
    def post(self, request: Request, lead_id: str) -> Response:
        entry = self.entry(lead_id)
        body = read_body(OutcomeIn, request.data)
        last = calls_visible_to(self.actor).filter(entry=entry).order_by("-pk").values_list("pk", flat=True).first()
        if last is None:
            raise NoSuchCall
        result = CallResult(body.pop("result"))
        call = record_outcome(call_id=last, result=result, now=timezone.now(), by=self.actor, **body)
        return Response(calls_out(calls_in_order([call.pk]), request, actor=self.actor)[0])


class UploadIn(serializers.Serializer[Any]):
    file = serializers.FileField()


def uploaded(request: Request) -> Any:
    """The file of a multipart body. Raises Unprocessable where there is none."""
    file = request.data.get("file")
    if file is None or isinstance(file, str):
        raise Unprocessable([(("body", "file"), "Field required", "missing")])
    return file


def answer_import(operation: Operation) -> Response:
    """The counters of a short import, run within this request's transaction; of a long one where to ask for them."""
    if imports.has_more_rows_than(operation, AT_ONCE):
        return Response(import_out(operation), status=202)
    runner.run_inline(operation)
    return Response(import_out(operation))


IMPORTED = {200: component("DialerImport", IMPORT), 202: component("DialerImport", IMPORT)}


class EntryImportView(DialerView):
    """S2-06."""

    capabilities: ClassVar[dict[str, str]] = {"post": MANAGE}
    parser_classes: ClassVar[list[type]] = [MultiPartParser]
    rate_kind = "bulk"

    @extend_schema(
        parameters=[ImportQuery],
        request={"multipart/form-data": UploadIn},
        responses=IMPORTED,
        tags=_TAGS,
        summary="Add leads from a CSV file",
        operation_id="leads_csv_import",
    )
    def post(self, request: Request) -> Response:
        agent = find_agent(read_query(ImportQuery, request)["agent_id"], actor=self.actor)
        return answer_import(imports.start_import(file=uploaded(request), agent=agent, by=self.actor))


class FillsView(DialerView):
    """Put leads of the CRM into a queue: those of a list, or by their ids."""

    capabilities: ClassVar[dict[str, str]] = {"post": MAY_CALL}
    rate_kind = "bulk"

    @extend_schema(
        request=FillIn, responses={202: component("DialerImport", IMPORT)}, tags=_TAGS, summary="Put a list of the CRM's leads into a queue"
    )
    def post(self, request: Request) -> Response:
        body = read_body(FillIn, request.data)
        agent = find_agent(body["agent_id"], actor=self.actor)
        ids = body.get("lead_ids", ())
        operation = filling.start_fill(agent_id=agent.pk, query=body.get("query", ""), ids=ids, all_matching=not ids, by=self.actor)
        return Response(import_out(operation), status=202)


class DialerImportView(DialerView):
    """Where an import or a filling of a queue stands: the counters that a short one answers at once."""

    @extend_schema(
        responses={200: component("DialerImport", IMPORT)}, tags=_TAGS, summary="Say where an import stands", operation_id="imports_read"
    )
    def get(self, request: Request, operation_id: str) -> Response:
        kinds = (imports.KIND, imports.DNC_KIND, filling.KIND)
        operation = operations_visible_to(self.actor).filter(kind__in=kinds, pk=parse_id(operation_id, field="operation_id")).first()
        if operation is None:
            raise NoSuchImport
        return Response(import_out(operation))
