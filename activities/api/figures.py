"""Figures of activities: S1-47 to S1-49 and S1-51, from the ledger."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from activities.api import bodies
from activities.api.bodies import TAGS, chosen, day_of, parameters, zone
from activities.enums import ActivityPriority, ActivityStatus, ActivityType
from activities.models import PriorityCount, TypeCount
from activities.permissions import VIEW
from activities.selectors import follow_up_counts
from activities.services.counts import sums
from crm.errors import InvalidInput
from crm.identity.selectors import members
from crm.rest.envelope import success
from crm.rest.views import ApiView


def _span(params: Mapping[str, Any]) -> dict[str, Any]:
    since, until = day_of(params, "date_from"), day_of(params, "date_to")
    if since and until and since > until:
        raise InvalidInput({"date_to": ["Must not be before date_from."]})
    return {"since": since, "until": until}


def _told(span: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    told = {"date_from": span["since"], "date_to": span["until"], **more}
    return {name: value for name, value in told.items() if value is not None}


def _figures(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Document 1's figures of some rows of the ledger (rule 1.53)."""
    by_status = dict.fromkeys(ActivityStatus.values, 0)
    for row in rows:
        by_status[row["status"]] += row["n"]
    total = sum(by_status.values())
    return {
        "total_activities": total,
        "completed_activities": by_status[ActivityStatus.COMPLETED],
        "pending_activities": by_status[ActivityStatus.PENDING],
        "cancelled_activities": by_status[ActivityStatus.CANCELLED],
        "completion_rate": round(100 * by_status[ActivityStatus.COMPLETED] / total, 2) if total else 0.0,
    }


class StatisticsView(ApiView):
    """S1-47: of the whole tenant for who sees all leads, else the caller's own."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    rate_kind = "analytics"

    @extend_schema(
        summary="Count activities by type",
        tags=TAGS,
        parameters=parameters("date_from", "date_to", "user_id"),
        responses={200: bodies.COUNTS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        span, user_id = _span(request.query_params), chosen(request.query_params, "user_id")
        rows = sums(ledger=TypeCount, facets=("activity_type", "status"), user_id=user_id, **span, by=self.actor)
        found = {kind: [row for row in rows if row["activity_type"] == kind] for kind in ActivityType.values}
        data = [{"activity_type": kind, **_figures(own)} for kind, own in found.items() if own]
        return success(request, data, filters=_told(span, user_id=user_id))


class PerformanceView(ApiView):
    """S1-48: each person's figures, the busiest first; the caller's own for who does not see all leads."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    rate_kind = "analytics"

    @extend_schema(
        summary="Count activities by person",
        tags=TAGS,
        parameters=parameters("user_id", "date_from", "date_to"),
        responses={200: bodies.COUNTS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        span, user_id = _span(request.query_params), chosen(request.query_params, "user_id")
        rows = sums(ledger=TypeCount, facets=("user_id", "activity_type", "status"), user_id=user_id, **span, by=self.actor)
        by_user: dict[int | None, list[dict[str, Any]]] = {}
        for row in rows:
            by_user.setdefault(row["user_id"], []).append(row)
        names = {user.pk: user.full_name for user in members().filter(pk__in=[pk for pk in by_user if pk is not None])}
        data = [
            {"user_id": pk, "user_name": names.get(pk, "") if pk is not None else "", **_figures(own), "by_type": _by_type(own)}
            for pk, own in by_user.items()
        ]
        data.sort(key=lambda item: (-item["total_activities"], item["user_id"] or 0))
        return success(request, data, filters=_told(span, user_id=user_id))


def _by_type(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in rows:
        counted[row["activity_type"]] = counted.get(row["activity_type"], 0) + row["n"]
    return counted


class PriorityView(ApiView):
    """S1-49: how many of each priority, the urgent first."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    rate_kind = "analytics"

    @extend_schema(
        summary="Count activities by priority",
        tags=TAGS,
        parameters=parameters("date_from", "date_to", "user_id"),
        responses={200: bodies.COUNTS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        span, user_id = _span(request.query_params), chosen(request.query_params, "user_id")
        rows = sums(ledger=PriorityCount, facets=("priority", "status"), user_id=user_id, **span, by=self.actor)
        whole = sum(row["n"] for row in rows)
        data = []
        for priority in reversed(ActivityPriority):
            figures = _figures(row for row in rows if row["priority"] == priority)
            share = round(100 * figures["total_activities"] / whole, 2) if whole else 0.0
            data.append({"priority": priority.word, "count": figures["total_activities"], "percentage": share, **figures})
        return success(request, data, filters=_told(span, user_id=user_id))


class SummaryView(ApiView):
    """S1-51: everything, this week, today, and what waits."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    rate_kind = "analytics"

    @extend_schema(summary="Activities at a glance", tags=TAGS, responses={200: bodies.MAP})
    def get(self, request: Request, **_: Any) -> Response:
        now = datetime.now(UTC)
        today = now.astimezone(zone()).date()
        monday = today - timedelta(days=today.weekday())
        rows = sums(ledger=TypeCount, facets=("activity_type", "status"), user_id=None, since=None, until=None, by=self.actor)
        lately = sums(ledger=TypeCount, facets=("day",), user_id=None, since=monday, until=today, by=self.actor)
        data = {
            **_figures(rows),
            "by_type": _by_type(rows),
            "today": sum(row["n"] for row in lately if row["day"] == today),
            "this_week": sum(row["n"] for row in lately),
            "follow_ups": vars(follow_up_counts(self.actor, user_id=None, now=now)),
        }
        return success(request, data)
