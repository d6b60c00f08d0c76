"""Endpoints of notifications: what the caller was told, and how they wish to be told."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from notifications.enums import ByMail
from notifications.models import Notification
from notifications.registry import known_kinds
from notifications.selectors import Wishes, notifications_of, unread_of
from notifications.services.reading import choose, mark_all_read, mark_read, my_wishes

_TAGS = ["notifications"]
NOTIFICATION: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "kind": serializers.CharField(),
    "title": serializers.CharField(),
    "body": serializers.CharField(),
    "url": serializers.CharField(help_text="The page it leads to, a path of this site; may be empty."),
    "created_at": serializers.DateTimeField(),
    "read_at": serializers.DateTimeField(allow_null=True),
}
_KIND: dict[str, Any] = {
    "kind": serializers.CharField(),
    "label": serializers.CharField(),
    "description": serializers.CharField(),
    "in_page": serializers.BooleanField(),
    "by_mail": serializers.ChoiceField(ByMail.choices),
}
_PREFERENCES: dict[str, Any] = {
    "kinds": component("NotificationChoice", _KIND, many=True),
    "digest": serializers.BooleanField(help_text="A summary at 8:00 in the person's zone, when there is something to say."),
    "quiet_from": serializers.TimeField(allow_null=True),
    "quiet_to": serializers.TimeField(allow_null=True),
}


def notification_out(row: Notification) -> dict[str, Any]:
    return {"id": row.pk, **{name: getattr(row, name) for name in ("kind", "title", "body", "url", "created_at", "read_at")}}


def preferences_out(wishes: Wishes) -> dict[str, Any]:
    choices = [(kind, wishes.choice(kind.name)) for kind in known_kinds()]
    return {
        "kinds": [
            {
                "kind": kind.name,
                "label": str(kind.label),
                "description": str(kind.description),
                "in_page": choice.in_page,
                "by_mail": choice.by_mail,
            }
            for kind, choice in choices
        ],
        **{name: getattr(wishes.habits, name) for name in ("digest", "quiet_from", "quiet_to")},
    }


class ChoiceIn(InputSerializer):
    kind = serializers.CharField(max_length=40)
    in_page = serializers.BooleanField(required=False)
    by_mail = serializers.ChoiceField(ByMail.choices, required=False)


class NotificationPreferencesIn(InputSerializer):
    """What is not named stays as it is."""

    kinds = ChoiceIn(many=True, required=False)
    digest = serializers.BooleanField(required=False)
    quiet_from = serializers.TimeField(required=False, allow_null=True)
    quiet_to = serializers.TimeField(required=False, allow_null=True)


class NotificationsView(ApiView):
    """What the caller was told, newest first."""

    @extend_schema(
        parameters=[OpenApiParameter("unread", bool, description="Only what was not read"), *PAGE_PARAMETERS],
        responses={200: described("Notification", NOTIFICATION, many=True)},
        tags=_TAGS,
        summary="List notifications",
        operation_id="notifications_list",
    )
    def get(self, request: Request) -> Response:
        rows = notifications_of(self.actor)
        if request.query_params.get("unread", "").lower() in ("1", "true", "yes"):
            rows = rows.filter(read_at=None)
        return paged(request, rows, notification_out, unread=unread_of(self.actor))


class NotificationReadView(ApiView):
    """Mark one as read."""

    @extend_schema(
        request=None, responses={200: described("Notification", NOTIFICATION)}, tags=_TAGS, summary="Mark a notification as read"
    )
    def post(self, request: Request, id: str) -> Response:
        return success(request, notification_out(mark_read(notification_id=parse_id(id), by=self.actor)))


class NotificationsReadView(ApiView):
    """Mark all as read."""

    @extend_schema(
        request=None,
        responses={200: described("NotificationsRead", {"marked": serializers.IntegerField()})},
        tags=_TAGS,
        summary="Mark all notifications as read",
        operation_id="notifications_read",
    )
    def post(self, request: Request) -> Response:
        return success(request, {"marked": mark_all_read(by=self.actor)})


class NotificationPreferencesView(ApiView):
    """How the caller wishes to be told, by kind: S4-266, S4-267."""

    documented: ClassVar[Any] = {200: described("NotificationPreferences", _PREFERENCES)}

    @extend_schema(responses=documented, tags=_TAGS, summary="Read one's notification preferences")
    def get(self, request: Request) -> Response:
        return success(request, preferences_out(my_wishes(by=self.actor)))

    @extend_schema(request=NotificationPreferencesIn, responses=documented, tags=_TAGS, summary="Change one's notification preferences")
    def put(self, request: Request) -> Response:
        body = read(NotificationPreferencesIn, request.data)
        kinds = {item["kind"]: {name: value for name, value in item.items() if name != "kind"} for item in body.pop("kinds", [])}
        return success(request, preferences_out(choose(kinds=kinds, habits=body, by=self.actor)))

    patch = put
