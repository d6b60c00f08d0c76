"""Endpoints of activities: S1-36, S1-37, S1-39 to S1-46, S1-50."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from activities.api import bodies
from activities.api.bodies import TAGS, activity_out, bound_of, chosen, follow_up_out, parameters
from activities.enums import ActivityPriority, ActivityStatus
from activities.models import Activity
from activities.permissions import ADD, CHANGE, VIEW
from activities.selectors import (
    activities_of,
    activities_visible_to,
    due_total,
    due_visible_to,
    follow_up_counts,
    person_asked,
    total_of,
    with_lead_names,
)
from activities.services.bulk import reschedule_many
from activities.services.changes import find_activity, reschedule, snooze, update_status
from activities.services.logging import ActivityDraft, log_activity
from activities.services.mentions import names_not_told
from crm.operations import runner
from crm.operations.api import OPERATION, operation_out
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, whole
from crm.rest.serializers import read
from crm.rest.views import ApiView, parse_id
from leads.services.editing import find_lead

AT_ONCE = 1000


def answered(
    request: Request, rows: QuerySet[Activity], *, total: int | None = None, limit: int, out: Any = activity_out, **filters: Any
) -> Response:
    """Document 1's shape: an array, `filters` and `total` beside it. `rows` are ordered; without a total they are counted."""
    offset = whole(request.query_params, "offset", default=0, least=0, most=10**9)
    number = rows.order_by().count() if total is None else total
    page = list(rows[offset : offset + limit]) if offset < number else []
    told = {name: value for name, value in filters.items() if value is not None}
    return success(request, [out(row) for row in page], filters={**told, "limit": limit, "offset": offset}, total=number)


class LogView(ApiView):
    """S1-36."""

    capabilities: ClassVar[dict[str, str]] = {"post": ADD}

    @extend_schema(request=bodies.ActivityIn, summary="Record an activity on a lead", tags=TAGS, responses={201: bodies.LOGGED})
    def post(self, request: Request, **_: Any) -> Response:
        given = read(bodies.ActivityIn, request.data)
        lead_id, due_at = given.pop("lead_id"), given.pop("next_follow_up_date")
        priority = ActivityPriority[given.pop("priority").upper()]
        # Of what is over, a date ahead is the next step's.
        over = given["status"] == ActivityStatus.COMPLETED and due_at is not None and due_at > datetime.now(UTC)
        draft = ActivityDraft(**given, due_at=None if over else due_at, then_at=due_at if over else None, priority=priority)
        activity = log_activity(lead_id=lead_id, draft=draft, by=self.actor)
        not_told = names_not_told(activity=activity, by=self.actor)
        data = {
            "activity_id": activity.pk,
            "activity": activity_out(activity),
            "next_follow_up": find_lead(lead_id=lead_id, by=self.actor).next_follow_up_at,
            "not_told": not_told,
        }
        message = "Activity logged successfully"
        if not_told:
            message += f". Not told, as they may not see this lead: {', '.join(not_told)}."
        return success(request, data, message=message, status=201)


class ActivityView(ApiView):
    """One activity."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(summary="Read an activity", tags=TAGS, responses={200: bodies.ONE})
    def get(self, request: Request, id: str, **_: Any) -> Response:
        return success(request, activity_out(find_activity(activity_id=parse_id(id), by=self.actor)))


class SnoozeView(ApiView):
    """Let an activity rest."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE}

    @extend_schema(request=bodies.SnoozeIn, summary="Let an activity rest until a time", tags=TAGS, responses={200: bodies.ONE})
    def put(self, request: Request, id: str, **_: Any) -> Response:
        activity = find_activity(activity_id=parse_id(id), by=self.actor)
        activity = snooze(activity_id=activity.pk, until=read(bodies.SnoozeIn, request.data)["until"], by=self.actor)
        return success(request, activity_out(activity), message="Activity snoozed")


class LeadActivitiesView(ApiView):
    """S1-37."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="List a lead's activities",
        tags=TAGS,
        parameters=parameters("activity_type", "user_id", "priority", "status", "date_from", "date_to", "limit", "offset"),
        responses={200: bodies.ROWS},
    )
    def get(self, request: Request, lead_id: str, **_: Any) -> Response:
        params = request.query_params
        limit = whole(params, "limit", default=20, least=1, most=MAX_LIMIT)
        narrowed = {
            name: value for name in ("activity_type", "user_id", "priority", "status") if (value := chosen(params, name)) is not None
        }
        since, until = bound_of(params, "date_from"), bound_of(params, "date_to", ends=True)
        rows = activities_of(find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)).filter(**narrowed)
        if since is not None:
            rows = rows.filter(occurred_at__gte=since)
        if until is not None:
            rows = rows.filter(occurred_at__lt=until)
        return answered(request, rows, limit=limit, **_told(params, narrowed, "date_from", "date_to"))


def _told(params: Any, narrowed: dict[str, Any], *plain: str) -> dict[str, Any]:
    """The filters as they were understood."""
    told = {name: value.word if isinstance(value, ActivityPriority) else value for name, value in narrowed.items()}
    return told | {name: params[name] for name in plain if params.get(name)}


class EntityView(ApiView):
    """S1-39: the tenant's activities, newest first, as far as the caller sees their leads."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    mine: ClassVar[bool] = False
    names: ClassVar[tuple[str, ...]] = ("user_id", "priority", "activity_type", "status")
    usual_limit: ClassVar[int] = 50

    @extend_schema(
        summary="List the tenant's activities",
        tags=TAGS,
        parameters=parameters("user_id", "priority", "activity_type", "status", "limit", "offset"),
        responses={200: bodies.ROWS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        params = request.query_params
        limit = whole(params, "limit", default=self.usual_limit, least=1, most=MAX_LIMIT)
        narrowed = {name: value for name in self.names if (value := chosen(params, name)) is not None}
        if self.mine:
            narrowed["user_id"] = self.actor.user_id
        rows = activities_visible_to(self.actor).filter(**narrowed).order_by("-created_at", "-pk")
        total = total_of(self.actor, **narrowed)
        told = {name: value for name, value in narrowed.items() if not (self.mine and name == "user_id")}
        return answered(request, rows, total=total, limit=limit, **_told(params, told))


class UserView(EntityView):
    """S1-40: the caller's own."""

    mine = True
    usual_limit = 20
    names = ("activity_type", "priority", "status")

    @extend_schema(
        summary="List the caller's activities",
        tags=TAGS,
        parameters=parameters("activity_type", "priority", "status", "limit", "offset"),
        responses={200: bodies.ROWS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        return super().get(request)


class RecentView(EntityView):
    """S1-50: the latest."""

    names = ()
    usual_limit = 20

    @extend_schema(summary="List the latest activities", tags=TAGS, parameters=parameters("limit", "offset"), responses={200: bodies.ROWS})
    def get(self, request: Request, **_: Any) -> Response:
        return super().get(request)


class PendingView(ApiView):
    """S1-41: follow-ups to do, the earliest first: everybody's for who sees all leads, else the caller's own unless a person is named."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}
    overdue: ClassVar[bool] = False
    usual_limit: ClassVar[int] = 20

    @extend_schema(
        summary="List follow-ups still to do",
        tags=TAGS,
        parameters=parameters("priority", "user_id", "limit", "offset"),
        responses={200: bodies.FOLLOW_UPS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        params, now = request.query_params, datetime.now(UTC)
        limit = whole(params, "limit", default=self.usual_limit, least=1, most=MAX_LIMIT)
        asked = {"priority": chosen(params, "priority"), "user_id": person_asked(self.actor, chosen(params, "user_id"))}
        narrowed = {name: value for name, value in asked.items() if value is not None}
        rows = due_visible_to(self.actor).filter(**narrowed)
        if self.overdue:
            rows = rows.filter(due_at__lt=now)
        rows = with_lead_names(rows).order_by("due_at", "pk")
        total = due_total(self.actor, before=now if self.overdue else None, **narrowed)
        return answered(request, rows, total=total, limit=limit, out=lambda row: follow_up_out(row, now), **_told(params, narrowed))


class OverdueView(PendingView):
    """S1-42: those past their time."""

    overdue = True
    usual_limit = 50

    @extend_schema(
        summary="List follow-ups past their time",
        tags=TAGS,
        parameters=parameters("user_id", "priority", "limit", "offset"),
        responses={200: bodies.FOLLOW_UPS},
    )
    def get(self, request: Request, **_: Any) -> Response:
        return super().get(request)


class FollowUpSummaryView(ApiView):
    """S1-43."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(summary="Count follow-ups by urgency and date", tags=TAGS, parameters=parameters("user_id"), responses={200: bodies.MAP})
    def get(self, request: Request, **_: Any) -> Response:
        counts = follow_up_counts(self.actor, user_id=chosen(request.query_params, "user_id"), now=datetime.now(UTC))
        return success(request, vars(counts))


class UpdateStatusView(ApiView):
    """S1-44."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE}

    @extend_schema(request=bodies.StatusIn, summary="Set an activity's state", tags=TAGS, responses={200: bodies.ONE})
    def put(self, request: Request, **_: Any) -> Response:
        activity = update_status(**read(bodies.StatusIn, request.data), by=self.actor)
        return success(request, activity_out(activity), message="Activity status updated successfully")


class UpdateFollowUpView(ApiView):
    """S1-45."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE}

    @extend_schema(request=bodies.FollowUpIn, summary="Set when an activity is due", tags=TAGS, responses={200: bodies.ONE})
    def put(self, request: Request, **_: Any) -> Response:
        given = read(bodies.FollowUpIn, request.data)
        activity = reschedule(activity_id=given["activity_id"], due_at=given["next_follow_up_date"], notes=given["notes"], by=self.actor)
        return success(request, activity_out(activity), message="Follow-up date updated successfully")


class BulkFollowUpsView(ApiView):
    """S1-46: at once up to a thousand, above that an operation."""

    capabilities: ClassVar[dict[str, str]] = {"put": CHANGE}
    rate_kind = "bulk"

    @extend_schema(
        request=bodies.ManyFollowUpsIn,
        summary="Set when many activities are due",
        description="An undoable operation.",
        tags=TAGS,
        responses={200: bodies.MAP, 202: described("Operation", OPERATION)},
    )
    def put(self, request: Request, **_: Any) -> Response:
        given = read(bodies.ManyFollowUpsIn, request.data)
        due_at = given["next_follow_up_date"]
        operation = reschedule_many(activity_ids=given["activity_ids"], due_at=due_at, notes=given["notes"], by=self.actor)
        if (operation.total or 0) > AT_ONCE:
            return success(request, operation_out(operation), status=202)
        runner.run_inline(operation)
        number = operation.updated + operation.skipped
        data = {"updated_count": number, "next_follow_up_date": due_at, "failed_count": operation.failed, "operation_id": operation.pk}
        return success(request, data, message=f"Successfully updated {number} follow-up date{'' if number == 1 else 's'}")
