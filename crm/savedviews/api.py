"""Endpoints of saved views."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import InputSerializer, read
from crm.rest.views import ApiView, parse_id
from crm.savedviews.enums import Audience
from crm.savedviews.models import SavedView
from crm.savedviews.selectors import address_of, as_seen_by, may_change, views_visible_to
from crm.savedviews.services import ViewSettings, delete_view, find_view, save_view

_TAGS = ["views"]
_VIEW = {
    "id": serializers.IntegerField(),
    "list": serializers.CharField(),
    "name": serializers.CharField(),
    "query": serializers.DictField(help_text="The parameters of the list: filters, sort, col"),
    "audience": serializers.ChoiceField(Audience.choices),
    "team_id": serializers.IntegerField(allow_null=True),
    "is_pinned": serializers.BooleanField(),
    "default_for": serializers.ListField(child=serializers.CharField()),
    "position": serializers.IntegerField(),
    "owner_id": serializers.IntegerField(),
    "can_change": serializers.BooleanField(),
    "url": serializers.CharField(),
    "created_at": serializers.DateTimeField(),
    "updated_at": serializers.DateTimeField(),
}


class ViewIn(InputSerializer):
    name = serializers.CharField(max_length=60)
    query = serializers.DictField(required=False)
    audience = serializers.ChoiceField(Audience.choices, required=False, default=Audience.PRIVATE)
    team_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)
    is_pinned = serializers.BooleanField(required=False, default=False)
    default_for = serializers.ListField(child=serializers.CharField(max_length=40), required=False, default=list, max_length=50)
    position = serializers.IntegerField(required=False, default=0, min_value=0, max_value=10_000)


class NewViewIn(ViewIn):
    list = serializers.CharField(max_length=40, default="leads")


def view_out(view: SavedView, actor: Any) -> dict[str, Any]:
    view = as_seen_by(actor, view)
    kept = ("name", "query", "audience", "team_id", "is_pinned", "default_for", "position", "owner_id", "created_at", "updated_at")
    own = {name: getattr(view, name) for name in kept}
    return {"id": view.pk, "list": view.list_name, **own, "can_change": may_change(view, actor), "url": address_of(view)}


def _settings(body: dict[str, Any], view: SavedView | None = None) -> ViewSettings:
    names = ("name", "audience", "team_id", "is_pinned", "default_for", "position")
    given = {name: body[name] if name in body else getattr(view, name, None) for name in names}
    return ViewSettings(
        name=given["name"] or "",
        query=body.get("query", {} if view is None else None),
        audience=given["audience"] or Audience.PRIVATE,
        team_id=given["team_id"],
        is_pinned=bool(given["is_pinned"]),
        default_for=tuple(given["default_for"] or ()),
        position=given["position"] or 0,
    )


class ViewsView(ApiView):
    """The caller's views of lists, and saving one."""

    @extend_schema(
        parameters=[OpenApiParameter("list", str, description="Of one list, such as leads"), *PAGE_PARAMETERS],
        responses={200: described("SavedView", _VIEW, many=True)},
        tags=_TAGS,
        summary="List saved views",
        operation_id="views_list",
    )
    def get(self, request: Request) -> Response:
        views = views_visible_to(self.actor, request.query_params.get("list", "").strip()[:40])
        return paged(request, views, lambda view: view_out(view, self.actor))

    @extend_schema(request=NewViewIn, responses={201: described("SavedView", _VIEW)}, tags=_TAGS, summary="Save a view")
    def post(self, request: Request) -> Response:
        body = read(NewViewIn, request.data)
        view = save_view(view=None, list_name=body["list"], wanted=_settings(body), by=self.actor)
        return success(request, view_out(view, self.actor), status=201)


class ViewView(ApiView):
    """One saved view."""

    @extend_schema(responses={200: described("SavedView", _VIEW)}, tags=_TAGS, summary="Read a saved view")
    def get(self, request: Request, id: str) -> Response:
        return success(request, view_out(find_view(view_id=parse_id(id), by=self.actor), self.actor))

    @extend_schema(request=ViewIn, responses={200: described("SavedView", _VIEW)}, tags=_TAGS, summary="Change a saved view")
    def put(self, request: Request, id: str) -> Response:
        view = find_view(view_id=parse_id(id), by=self.actor)
        body = read(ViewIn, request.data, partial=True)
        return success(request, view_out(save_view(view=view, wanted=_settings(body, view), by=self.actor), self.actor))

    @extend_schema(request=ViewIn, responses={200: described("SavedView", _VIEW)}, tags=_TAGS, summary="Change a saved view")
    def patch(self, request: Request, id: str) -> Response:
        return self.put(request, id)

    @extend_schema(responses={200: described("SavedViewDeleted", message=True)}, tags=_TAGS, summary="Delete a saved view")
    def delete(self, request: Request, id: str) -> Response:
        delete_view(view=find_view(view_id=parse_id(id), by=self.actor), by=self.actor)
        return success(request, None, message="The view is deleted.")
