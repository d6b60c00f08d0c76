"""Service levels: their settings, the control room, and pausing a lead's clocks."""

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, PAGE_PARAMETERS, paged, whole
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView, parse_id
from leads.permissions import CHANGE, VIEW
from leads.services.conditions import without_hidden
from leads.services.editing import find_lead
from pipeline.api import sla_description as description
from pipeline.enums import SlaHours, SlaKind, StepAction
from pipeline.models import SlaPolicy
from pipeline.permissions import CONFIGURE_SLA
from pipeline.selectors.figures import read_period
from pipeline.selectors.sla import (
    SOON,
    WHICH,
    clock_board,
    clock_out,
    clock_page,
    clock_rows,
    clocks_of,
    compliance_by_policy,
    response_and_conversion,
)
from pipeline.services.policies import (
    MOST_MINUTES,
    MOST_STEPS,
    PolicySettings,
    delete_policy,
    find_policy,
    pause_clocks,
    resume_clocks,
    save_policy,
)

_TAGS = ["service levels"]


class StepIn(InputSerializer):
    minutes = serializers.IntegerField(
        min_value=-MOST_MINUTES, max_value=MOST_MINUTES, help_text="Working time before (negative) or after due"
    )
    action = WordChoiceField(StepAction.choices)
    user = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)


class PolicyIn(InputSerializer):
    name = serializers.CharField(max_length=80)
    kind = WordChoiceField(SlaKind.choices, default=SlaKind.FIRST_RESPONSE)
    status_id = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=32767, help_text="Of a stage; null: any open one"
    )
    conditions = serializers.JSONField(required=False, allow_null=True, help_text="Nested conditions over leads; null: all leads")
    target_minutes = serializers.IntegerField(min_value=1, max_value=MOST_MINUTES)
    hours = WordChoiceField(SlaHours.choices, default=SlaHours.TENANT)
    due_soon_share = serializers.IntegerField(min_value=1, max_value=100, default=75)
    steps = serializers.ListField(child=StepIn(), required=False, max_length=MOST_STEPS)
    position = serializers.IntegerField(required=False, min_value=0, max_value=32767)
    is_active = serializers.BooleanField(default=True)


def policy_out(policy: SlaPolicy, by: Actor) -> dict[str, Any]:
    return {
        "id": policy.pk,
        "name": policy.name,
        "position": policy.position,
        "is_active": policy.is_active,
        "kind": policy.kind,
        "status_id": policy.status.number if policy.status else None,
        "status_name": policy.status.code if policy.status else None,
        "conditions": without_hidden(tree=policy.conditions, by=by),
        "target_minutes": policy.target_minutes,
        "hours": policy.hours,
        "due_soon_share": policy.due_soon_share,
        "steps": policy.steps,
        "created_at": policy.created_at,
    }


_KEPT = ("name", "kind", "status_id", "conditions", "target_minutes", "hours", "due_soon_share", "steps", "position", "is_active")


def _settings(values: dict[str, Any]) -> PolicySettings:
    given = {**values, "status": values.get("status_id")}
    given.pop("status_id", None)
    if given.get("conditions") is not None and not isinstance(given["conditions"], dict):
        raise InvalidInput({"conditions": ["Must be an object of conditions."]})
    given["steps"] = [dict(step) for step in given.get("steps") or ()]
    return PolicySettings(**given)


class PoliciesView(ApiView):
    """`/settings/sla-policies`."""

    # Their conditions may name fields that not everybody sees.
    capabilities: ClassVar[dict[str, str]] = {"get": CONFIGURE_SLA, "post": CONFIGURE_SLA}

    @extend_schema(
        summary="List SLA policies", tags=_TAGS, operation_id="sla_policies_list", parameters=PAGE_PARAMETERS,
        responses={200: description.POLICIES},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        return paged(
            request, SlaPolicy.objects.select_related("status").order_by("position", "pk"), lambda policy: policy_out(policy, self.actor)
        )

    @extend_schema(
        request=PolicyIn, summary="Add an SLA policy", tags=_TAGS, operation_id="sla_policies_create", responses={201: description.POLICY}
    )  # fmt: skip
    def post(self, request: Request, **_: Any) -> Response:
        policy = save_policy(policy=None, wanted=_settings(read(PolicyIn, request.data)), by=self.actor)
        return success(request, policy_out(policy, self.actor), message="SLA policy created", status=201)


class PolicyView(ApiView):
    """`/settings/sla-policies/{id}`."""

    capabilities: ClassVar[dict[str, str]] = {"get": CONFIGURE_SLA, "put": CONFIGURE_SLA, "patch": CONFIGURE_SLA, "delete": CONFIGURE_SLA}

    @extend_schema(summary="Read an SLA policy", tags=_TAGS, operation_id="sla_policy_read", responses={200: description.POLICY})
    def get(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, policy_out(find_policy(parse_id(id)), self.actor))

    @extend_schema(
        request=PolicyIn, summary="Change an SLA policy", description="What is left out stays. Its clocks are worked out anew.", tags=_TAGS,
        operation_id="sla_policy_change", responses={200: description.POLICY},
    )  # fmt: skip
    def put(self, request: Request, id: str, **_: Any) -> Response:
        policy = find_policy(parse_id(id))
        now = policy_out(policy, self.actor)
        kept = {name: value for name, value in now.items() if name in _KEPT}
        given = read(PolicyIn, request.data, partial=True)
        saved = save_policy(policy=policy, wanted=_settings({**kept, **given}), by=self.actor)
        return success(request, policy_out(saved, self.actor), message="SLA policy updated")

    @extend_schema(exclude=True)
    def patch(self, request: Request, id: str, **_: Any) -> Response:
        return self.put(request, id)

    @extend_schema(summary="Delete an SLA policy", tags=_TAGS, operation_id="sla_policy_delete", responses={200: description.DELETED})
    def delete(self, request: Request, id: str, **_: Any) -> Response:
        policy = find_policy(parse_id(id))
        pk = policy.pk
        delete_policy(policy=policy, by=self.actor)
        return success(request, {"id": pk, "deleted": True}, message="SLA policy deleted")


class ControlRoomView(ApiView):
    """What breaches next, who waits for whom, and whether a quick answer pays."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Service levels at a glance", tags=_TAGS, operation_id="sla_control_room",
        parameters=[OpenApiParameter("days", int, default=90, description="Of response times against conversion")],
        responses={200: description.CONTROL_ROOM},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        now = timezone.now()
        days = whole(request.query_params, "days", default=90, least=1, most=366)
        board = clock_board(now=now, by=self.actor)
        counts = board.counts
        soon = clock_page(which="soon", now=now, limit=20, by=self.actor)
        breached = clock_page(which="breached", now=now, limit=20, by=self.actor)
        data = {
            "running": counts.running,
            "breaching_soon": counts.soon,
            "breached": counts.breached,
            "paused": counts.paused,
            "soon_minutes": int(SOON.total_seconds() // 60),
            "next": clock_rows(soon.ids, now),
            "latest_breached": clock_rows(breached.ids, now),
            "by_owner": board.by_owner,
            "response_and_conversion": response_and_conversion(since=now - timedelta(days=days), by=self.actor),
        }
        return success(request, data, filters={"days": days})


class ClocksView(ApiView):
    """The clocks under way, by keyset."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="List running SLA clocks", tags=_TAGS, operation_id="sla_clocks",
        parameters=[
            OpenApiParameter("which", str, enum=list(WHICH), default="running"),
            OpenApiParameter("limit", int, default=50),
            OpenApiParameter("cursor", str),
        ],
        responses={200: description.CLOCKS},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        params, now = request.query_params, timezone.now()
        which = params.get("which") or "running"
        if which not in WHICH:
            raise InvalidInput({"which": [f"Must be one of {', '.join(WHICH)}."]})
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        page = clock_page(which=which, now=now, limit=limit, cursor=params.get("cursor") or None, by=self.actor)
        pagination = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
        return success(request, clock_rows(page.ids, now), filters={"which": which}, pagination=pagination)


class ComplianceByPolicyView(ApiView):
    """How well each policy was kept."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Compliance by SLA policy", description="Of the clocks that began in the period.", tags=_TAGS,
        operation_id="sla_compliance_by_policy", parameters=description.PERIOD, responses={200: description.BY_POLICY},
    )  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        period = read_period(request.query_params)
        return success(request, compliance_by_policy(period, by=self.actor), filters=period.asked_for)


class PauseView(ApiView):
    """Stop the clocks of a lead."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=None, summary="Pause a lead's SLA", tags=_TAGS, operation_id="lead_sla_pause", responses={200: description.LEAD_CLOCKS}
    )
    def post(self, request: Request, id: str, **_: Any) -> Response:
        now = timezone.now()
        pause_clocks(lead_id=parse_id(id), now=now, by=self.actor)
        return _clocks(self, request, id, "SLA paused")


class ResumeView(ApiView):
    """Let the clocks of a lead go on."""

    capabilities: ClassVar[dict[str, str]] = {"post": CHANGE}

    @extend_schema(
        request=None, summary="Resume a lead's SLA", tags=_TAGS, operation_id="lead_sla_resume", responses={200: description.LEAD_CLOCKS}
    )
    def post(self, request: Request, id: str, **_: Any) -> Response:
        now = timezone.now()
        resume_clocks(lead_id=parse_id(id), now=now, by=self.actor)
        return _clocks(self, request, id, "SLA resumed")


def _clocks(view: ApiView, request: Request, id: str, message: str) -> Response:
    lead = find_lead(lead_id=parse_id(id), by=view.actor)
    now = timezone.now()
    return success(request, [clock_out(clock, now) for clock in clocks_of(lead)], message=message)
