"""Reads of saved views."""

from collections.abc import Mapping
from copy import copy
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from crm.actors import Actor
from crm.identity.models import User
from crm.registry import saveable_lists
from crm.savedviews.enums import Audience
from crm.savedviews.models import SavedView
from crm.tenancy.scope import current_scope

SHARE = "savedviews.share_view"


def views_visible_to(actor: Actor, list_name: str = "") -> QuerySet[SavedView]:
    """One's own, one's teams', and everybody's."""
    shared = Q(audience=Audience.EVERYONE) | Q(audience=Audience.TEAM, team_id__in=actor.team_ids)
    views = SavedView.objects.filter(shared | Q(owner_id=actor.user_id))
    return views.filter(list_name=list_name) if list_name else views


def views_of(actor: Actor, list_name: str) -> list[SavedView]:
    """The tabs of a list, read once for the work in progress: shared ones first, then one's own."""
    memo = current_scope().memo
    key = f"savedviews.{list_name}"
    if key not in memo:
        views = sorted(views_visible_to(actor, list_name), key=lambda view: (view.audience == Audience.PRIVATE, view.position, view.name))
        memo[key] = [as_seen_by(actor, view) for view in views]
    found: list[SavedView] = memo[key]
    return found


def pinned_views(actor: Actor) -> list[dict[str, Any]]:
    """The sidebar's entries, of lists the actor may see."""
    lists = {item.name: item for item in saveable_lists.of("main") if not item.capability or actor.can(item.capability)}
    views = [as_seen_by(actor, view) for view in views_visible_to(actor).filter(is_pinned=True, list_name__in=lists)[:20]]
    return [{"label": view.name, "url": address_of(view), "icon": lists[view.list_name].icon, "view": view.pk} for view in views]


def as_seen_by(actor: Actor, view: SavedView) -> SavedView:
    """The view for reading, without what its list hides from the actor. What is to be changed and saved is another matter."""
    seen_by = next((item.seen_by for item in saveable_lists.of("main") if item.name == view.list_name), None)
    if seen_by is None:
        return view
    shown = copy(view)
    shown.query = seen_by(view.query, actor)
    return shown


def address_of(view: SavedView) -> str:
    """Where the view is seen: the whole state in the address, and the view's number, which marks its tab."""
    base = next((item.url for item in saveable_lists.of("main") if item.name == view.list_name), "/")
    return f"{base}?{urlencode({**view.query, 'view': view.pk}, doseq=True)}"


def default_view(actor: Actor, list_name: str) -> SavedView | None:
    """The view that a list opens with for somebody of the actor's roles."""
    views = [view for view in views_of(actor, list_name) if view.default_for]
    if not views or actor.user_id is None:
        return None
    user = User.objects.select_related("role").get(pk=actor.user_id)
    roles = {user.role.code if user.role else "", *user.role_grants.values_list("role__code", flat=True)}
    return next((view for view in views if roles & set(view.default_for)), None)


def may_change(view: SavedView, actor: Actor) -> bool:
    """Its maker may; what everybody sees, those too who share views with everybody."""
    return view.owner_id == actor.user_id or (view.audience != Audience.PRIVATE and actor.can(SHARE))


def same_state(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states of a list show the same."""
    return _plain(one) == _plain(other)


def _plain(query: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, list | tuple) else str(value) for name, value in query.items() if value not in ("", [], None)
    }
