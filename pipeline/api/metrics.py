"""S1-25 to S1-35: the figures of stages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from crm.actors import Actor
from crm.errors import Forbidden, NotFound
from crm.identity.models import User
from crm.listing import Listing, Sort
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, whole
from crm.rest.views import ApiView, parse_id
from leads.enums import StatusCategory
from leads.models import LeadStatus
from leads.permissions import SEE_ALL, VIEW
from leads.selectors import name_of, rows_in_order
from pipeline.api import description
from pipeline.models import LeadStage
from pipeline.selectors import metrics
from pipeline.selectors.figures import late_now, read_period
from pipeline.selectors.measures import hours_of
from pipeline.selectors.stages import recent_changes, waiting_branches

_TAGS = ["stage metrics"]
MOST_HOURS = 24 * 366


def metric_view(name: str, summary: str, answer: Any, figure: Callable[..., Any]) -> type[ApiView]:
    """A view that answers one figure of a period."""

    class MetricView(ApiView):
        capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

        @extend_schema(
            summary=summary, tags=_TAGS, operation_id=f"stages_{name}", parameters=description.PERIOD, responses={200: answer}
        )  # fmt: skip
        def get(self, request: Request, **_: Any) -> Response:
            period = read_period(request.query_params)
            return success(request, figure(period, by=self.actor), filters=period.asked_for)

    return MetricView


PerformanceView = metric_view("performance_metrics", "Entries, exits and durations by status", description.PERFORMANCE, metrics.performance)
MatrixView = metric_view("transition_matrix", "Moves from status to status", description.MATRIX, metrics.transition_matrix)
ConversionView = metric_view("conversion_rates", "How many leads go on from each status", description.CONVERSION, metrics.conversion_rates)
StatisticsView = metric_view("status_statistics", "Figures of each status", description.STATISTICS, metrics.status_statistics)
EfficiencyView = metric_view(
    "workflow_efficiency", "How straight leads go to their end", description.EFFICIENCY, metrics.workflow_efficiency
)
BottleneckView = metric_view("bottleneck_analysis", "Where leads get stuck", description.BOTTLENECKS, metrics.bottlenecks)


class UserPerformanceView(ApiView):
    """S1-26."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Moves and durations by person",
        description="Who may not see all leads is told of themselves.",
        tags=_TAGS,
        operation_id="stages_user_performance",
        parameters=[OpenApiParameter("user_id", int), *description.PERIOD],
        responses={200: description.USERS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        period = read_period(request.query_params)
        user_id = _person(request.query_params.get("user_id", ""), self.actor)
        rows = metrics.user_performance(period, user_id=user_id, by=self.actor)
        return success(request, rows, filters={"user_id": user_id, **period.asked_for})


def _person(text: str, actor: Actor) -> int | None:
    if not text:
        return None if actor.can(SEE_ALL) else actor.user_id
    user_id = actor.user_id if text == "me" else parse_id(text, field="user_id")
    if not actor.can(SEE_ALL) and user_id != actor.user_id:
        raise Forbidden("You may see your own figures only.", field="user_id")
    if not User.objects.filter(pk=user_id).exists():
        raise NotFound("No such user.", field="user_id")
    return user_id


class SummaryView(ApiView):
    """S1-30."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(summary="The stages now", tags=_TAGS, operation_id="stages_summary", responses={200: description.SUMMARY})
    def get(self, request: Request, **_: Any) -> Response:
        return success(request, metrics.summary(timezone.now(), by=self.actor))


class RecentChangesView(ApiView):
    """S1-31."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="The latest changes of status",
        tags=_TAGS,
        operation_id="stages_recent_changes",
        parameters=[OpenApiParameter("limit", int, default=20)],
        responses={200: description.CHANGES},
    )
    def get(self, request: Request, **_: Any) -> Response:
        limit = whole(request.query_params, "limit", default=20, least=1, most=MAX_LIMIT)
        rows = [
            {
                **{name: row[name] for name in ("stage_id", "lead_id", "changed_at", "from_status", "to_status", "status_id", "user_id")},
                "lead_name": name_of(row),
                "user_name": row["user_name"] if row["user_id"] is not None else None,
                "notes": row["notes"],
                "rules_skipped": row["rules_skipped"],
            }
            for row in recent_changes(most=limit, by=self.actor)
        ]
        return success(request, rows, filters={"limit": limit}, total=len(rows))


class ViolationsView(ApiView):
    """S1-28."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="Leads that have been in a stage for too long",
        description="In open statuses, the longest first. `cursor` of `meta.pagination` goes on.",
        tags=_TAGS,
        operation_id="stages_sla_violations",
        parameters=[*description.SLA_HOURS, OpenApiParameter("limit", int, default=50), OpenApiParameter("cursor", str)],
        responses={200: description.VIOLATIONS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        params, now = request.query_params, timezone.now()
        hours = whole(params, "sla_hours", default=24, least=1, most=MOST_HOURS)
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        statuses = [status.pk for status in LeadStatus.objects.filter(category=StatusCategory.OPEN)]
        before = now - timedelta(hours=hours)
        branches = waiting_branches(before=before, status_ids=statuses, by=self.actor)
        sort = Sort(name="entered_at", column="entered_at", label="Entered")
        page = Listing(branches=branches, sort=sort, descending=False).page(limit=limit, cursor=params.get("cursor") or None)
        stages = LeadStage.objects.select_related("status").in_bulk(page.ids)
        leads = {row["id"]: row for row in rows_in_order([stages[pk].lead_id for pk in page.ids if pk in stages])}
        rows = [_violation(stages[pk], leads[stages[pk].lead_id], now, hours) for pk in page.ids if pk in stages]
        total = late_now(now=now, hours=hours, status_ids=statuses, by=self.actor)
        pagination = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
        return success(request, rows, filters={"sla_hours": hours, "limit": limit}, total=total, pagination=pagination)


def _violation(stage: LeadStage, lead: dict[str, Any], now: Any, hours: int) -> dict[str, Any]:
    spent = now - stage.entered_at
    return {
        "stage_id": stage.pk,
        "lead_id": stage.lead_id,
        "lead_name": name_of(lead),
        "company": lead["company"],
        "status_id": stage.status.number,
        "status_name": stage.status.code,
        "status_label": stage.status.label,
        "entered_at": stage.entered_at,
        "hours_in_stage": hours_of(spent),
        "hours_over_sla": hours_of(spent - timedelta(hours=hours)),
        "assigned_user_id": lead["owner_id"],
        "assigned_to_name": f"{lead['owner__first_name']} {lead['owner__last_name']}".strip() if lead["owner_id"] else None,
    }


class ComplianceView(ApiView):
    """S1-33."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="The share of stays inside the SLA hours",
        tags=_TAGS,
        operation_id="stages_sla_compliance",
        parameters=description.SLA_HOURS,
        responses={200: description.COMPLIANCE},
    )
    def get(self, request: Request, **_: Any) -> Response:
        hours = whole(request.query_params, "sla_hours", default=24, least=1, most=MOST_HOURS)
        return success(request, metrics.sla_compliance(timezone.now(), hours=hours, by=self.actor), filters={"sla_hours": hours})
