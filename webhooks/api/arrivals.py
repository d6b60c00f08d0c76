"""Endpoints of the inbox: what came in, what became of it, reading the failed anew."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import NotFound
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import whole
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from leads.models import Arrival
from webhooks.api.description import ARRIVAL, UTM, WHOLE_ARRIVAL
from webhooks.enums import SourceKind
from webhooks.filters import DOORS, STATES, ArrivalFilters, state_of
from webhooks.permissions import ARRIVALS, SOURCES
from webhooks.selectors import arrivals_before, find_arrival, find_source, surroundings_of
from webhooks.services.arrivals import replay_arrival, replay_failed
from webhooks.services.workbench import Trial, trial_of

_TAGS = ["arrivals"]
_PARAMETERS = ("state", "door", "source_id", "platform", "received_after", "received_before", "search")


def arrival_out(arrival: Arrival, due: Any = None) -> dict[str, Any]:
    connected = arrival.door in SourceKind.values
    same = (
        "door",
        "platform_key",
        "source_lead_id",
        "page_id",
        "page_url",
        "form_id",
        "ad_id",
        "campaign_id",
        "created_time",
        "received_at",
    )
    return {
        "id": arrival.pk,
        "state": state_of(arrival),
        "lead_id": arrival.lead_id,
        "lead_name": arrival.lead.display_name if arrival.lead else None,
        "source_id": arrival.door_id if connected else None,
        "web_form_id": None if connected else arrival.door_id,
        **{name: getattr(arrival, name) for name in same},
        "utm": {name: getattr(arrival, f"utm_{name}") for name in UTM},
        "attempts": arrival.attempts,
        "error": arrival.error or None,
        "next_try_at": due,
    }


def trial_out(trial: Trial) -> dict[str, Any]:
    return {
        "ok": trial.ok,
        "lead": trial.values,
        "custom_fields": trial.custom,
        "tags": trial.tags,
        "assigned_to": trial.owner_id,
        "warnings": trial.warnings,
        "problems": trial.problems,
        "joins_lead_id": trial.joins.pk if trial.joins else None,
    }


class ReplayIn(InputSerializer):
    """Which failed arrivals; all of them where nothing is said."""

    door = WordChoiceField(list(DOORS), required=False)
    source_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class ArrivalsView(ApiView):
    """Everything that came in, newest first."""

    capabilities: ClassVar[dict[str, str]] = {"get": ARRIVALS}

    @extend_schema(
        parameters=[
            OpenApiParameter("state", str, enum=list(STATES)),
            OpenApiParameter("door", str, description=f"{', '.join(DOORS)}; several separated by commas"),
            OpenApiParameter("source_id", int, description="A connection's id"),
            OpenApiParameter("platform", str, description="Channels, separated by commas"),
            OpenApiParameter("received_after", str, description="A day or a time, ISO 8601"),
            OpenApiParameter("received_before", str, description="A day (to its end) or a time, ISO 8601"),
            OpenApiParameter("search", str, description="The id at the source, exactly"),
            OpenApiParameter("cursor", str, description="As `meta.pagination.nextCursor` answered"),
            OpenApiParameter("limit", int, description="Rows, at most 200"),
        ],
        responses={200: described("Arrival", ARRIVAL, many=True)},
        tags=_TAGS,
        summary="List arrivals",
        operation_id="arrivals_list",
    )
    def get(self, request: Request) -> Response:
        params = request.query_params
        limit = whole(params, "limit", default=50, least=1, most=200)
        narrowing = ArrivalFilters.read({name: params[name] for name in _PARAMETERS if name in params})
        arrivals, cursor = arrivals_before(narrowing.q, cursor=params.get("cursor", ""), limit=limit)
        due = surroundings_of(arrivals).due
        pagination = {"limit": limit, "nextCursor": cursor, "hasNext": cursor is not None}
        return success(request, [arrival_out(arrival, due.get(arrival.pk)) for arrival in arrivals], pagination=pagination)


class OneArrivalView(ApiView):
    """Base of views on one arrival."""

    def arrival(self, id: str) -> Arrival:
        arrival = find_arrival(parse_id(id))
        if arrival is None:
            raise NotFound("No such arrival.")
        return arrival


class ArrivalView(OneArrivalView):
    """One arrival with what it holds and what it would become today."""

    capabilities: ClassVar[dict[str, str]] = {"get": ARRIVALS}

    @extend_schema(responses={200: described("WholeArrival", WHOLE_ARRIVAL)}, tags=_TAGS, summary="Read an arrival")
    def get(self, request: Request, id: str) -> Response:
        arrival = self.arrival(id)
        due = surroundings_of([arrival]).due.get(arrival.pk)
        body = {**arrival_out(arrival, due), "payload": arrival.payload, "would_become": trial_out(trial_of(arrival))}
        return success(request, body)


class ReplayArrivalView(OneArrivalView):
    """Read one failed arrival anew."""

    capabilities: ClassVar[dict[str, str]] = {"post": SOURCES}

    @extend_schema(
        request=None,
        responses={200: described("ReplayedArrival", {"id": serializers.IntegerField(), "state": serializers.CharField()})},
        tags=_TAGS,
        summary="Replay an arrival that failed",
    )
    def post(self, request: Request, id: str) -> Response:
        arrival = self.arrival(id)
        replay_arrival(arrival_id=arrival.pk, by=self.actor)
        return success(request, {"id": arrival.pk, "state": "waiting"})


class ReplayView(ApiView):
    """Read all failed arrivals anew, or those of a door or a connection."""

    capabilities: ClassVar[dict[str, str]] = {"post": SOURCES}

    @extend_schema(
        request=ReplayIn,
        responses={200: described("Replayed", {"replayed": serializers.IntegerField()})},
        tags=_TAGS,
        summary="Replay all arrivals that failed",
        operation_id="arrivals_replay_all",
    )
    def post(self, request: Request) -> Response:
        body = read(ReplayIn, request.data)
        door, source_id = body.get("door", ""), body.get("source_id")
        if source_id is not None:
            source = find_source(source_id)
            if source is None or door not in ("", source.kind):
                raise NotFound("No such connection.", field="source_id")
            door = source.kind
        return success(request, {"replayed": replay_failed(door=door, door_id=source_id, by=self.actor)})
