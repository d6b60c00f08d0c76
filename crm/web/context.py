"""What every page shows around its content: navigation, account, settings, live events."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.registry import bells, callers, navigation, pinned_entries, visible
from crm.tenancy.scope import scope_or_none


def shell(request: HttpRequest) -> dict[str, Any]:
    """Nothing for visitors; the shell for somebody signed in. Lazy names only: no query is made here."""
    actor = getattr(request, "actor", None)
    if actor is None:
        return {}
    user = request.user
    return {
        "shell": {
            "tenant": {"name": str(user.tenant)},  # type: ignore[union-attr]
            "user": {"name": user.full_name, "email": user.email, "id": user.pk},  # type: ignore[union-attr]
            "theme": user.theme,  # type: ignore[union-attr]
            "nav": [
                {"label": item.label, "url": item.url, "icon": item.icon, "key": item.key, "active": _is_active(request.path, item.url)}
                for item in visible(navigation.of("main"), actor)
            ],
            # Called by the template: pages without the shell ask nothing.
            "pinned": lambda: _pinned(actor, request),
            "notifications": lambda: _bell(actor),
            "account": [
                {"label": _("Your profile"), "url": reverse("identity:profile"), "icon": "user"},
                {"label": _("Sessions"), "url": reverse("identity:sessions"), "icon": "monitor-smartphone"},
            ],
            "settings_url": reverse("web:settings"),
            "settings_active": request.path.startswith("/settings"),
            "sign_out_url": reverse("identity:sign-out"),
            "palette_url": reverse("web:palette"),
            "search_url": reverse("web:search"),
            "call_url": next((item.url for item in visible(callers.of("main"), actor)), ""),
            "events_url": f"{settings.EVENTS_URL}/events/stream" if settings.EVENTS_URL else "/events/stream",
            "admin_url": reverse("admin:index") if actor.can("identity.use_admin") else "",
        }
    }


def _pinned(actor: Actor, request: HttpRequest) -> list[dict[str, Any]]:
    """The entries that apps pin to the sidebar for this person."""
    if scope_or_none() is None:
        return []
    shown = request.GET.get("view", "")
    return [{**entry, "active": str(entry.get("view")) == shown} for find in pinned_entries.of("main") for entry in find(actor)]


def _bell(actor: Actor) -> dict[str, Any] | None:
    if scope_or_none() is None or actor.user_id is None:
        return None
    return next((ring(actor) for ring in bells.of("main")), None)


def _is_active(path: str, url: str) -> bool:
    return path == url if url == "/" else path == url.rstrip("/") or path.startswith(url.rstrip("/") + "/")
