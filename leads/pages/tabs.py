"""The tabs over the list of leads: those every team has, and the saved views."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.savedviews.models import SavedView
from crm.savedviews.selectors import address_of, may_change, same_state, views_of

LIST = "leads"
# Parameters that name a place in the list or a tab, not a state of the list.
PLACE = ("cursor", "shown", "page", "view")
ALL = "all"


def built_in_views() -> list[dict[str, Any]]:
    """The tabs every team has."""
    return [
        {"key": ALL, "label": _("All leads"), "icon": "list", "query": {}},
        {"key": "mine", "label": _("Mine"), "icon": "user", "query": {"assigned_to": "me"}},
        {"key": "unassigned", "label": _("Unassigned"), "icon": "user-x", "query": {"assigned_to": "none"}},
        {"key": "new", "label": _("New"), "icon": "sparkles", "query": {"status": "new"}},
        {"key": "due", "label": _("Due"), "icon": "alarm-clock", "query": {"follow_up_before": "today", "sort": "next_follow_up"}},
        {
            "key": "best",
            "label": _("Best open"),
            "icon": "trending-up",
            "query": {"status": "new,qualified,contacted,meeting_scheduled,proposal_sent,negotiation", "sort": "-score"},
        },
    ]


def tabs(state: Mapping[str, Any], shown: str, actor: Actor) -> dict[str, Any]:
    """The tabs with the present one marked, and what may be done with the present state.

    `state` is the list's address without its places, `shown` the number of the saved view one came by.
    """
    saved = views_of(actor, LIST)
    view = next((item for item in saved if str(item.pk) == shown), None)
    entries = built_in_views()
    for entry in entries:
        entry["url"] = f"{reverse('leads:list')}?{urlencode(entry['query'] or {'view': ALL})}"
        entry["active"] = view is None and same_state(state, entry["query"])
    for item in saved:
        changed = item == view and not same_state(state, item.query)
        entries.append(
            {"key": item.pk, "label": item.name, "icon": _icon(item), "url": address_of(item), "active": item == view, "changed": changed}
        )
    unsaved = not any(entry["active"] and not entry.get("changed") for entry in entries)
    if view is None and unsaved:
        entries[0]["active"], entries[0]["changed"] = True, True
    return {
        "views": entries,
        "view": view,
        "may_change_view": view is not None and may_change(view, actor),
        "unsaved": unsaved,
        "new_view_url": f"{reverse('savedviews:new', args=[LIST])}?{urlencode({'state': urlencode(state, doseq=True)})}",
    }


def _icon(view: SavedView) -> str:
    return {"private": "bookmark", "team": "users"}.get(view.audience, "globe")
