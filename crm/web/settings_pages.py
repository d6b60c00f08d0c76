"""The frame of settings pages: the menu beside the page."""

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse

from crm.actors import Actor
from crm.registry import SettingsPage, settings_pages, visible
from crm.web.pages import FormPage, Page


def settings_menu(actor: Actor, path: str) -> list[dict[str, Any]]:
    """What the actor may set, by group in the order of registration, the present page marked."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in visible(settings_pages.of("main"), actor):
        groups.setdefault(str(item.group), []).append({"item": item, "active": is_at(path, item)})
    return [{"label": label, "items": items} for label, items in groups.items()]


def is_at(path: str, item: SettingsPage) -> bool:
    return path == item.url or path.startswith(f"{item.url}/")


class SettingsFrame(Page):
    """A page within the settings. Its template extends `web/settings_page.html`."""

    def show(self, context: dict[str, Any] | None = None, *, part: str = "", status: int = 200) -> TemplateResponse:
        menu = settings_menu(self.actor, self.request.path)
        return super().show({"settings_menu": menu, **(context or {})}, part=part, status=status)


class SettingsFormPage(SettingsFrame, FormPage):
    """A settings page with one form."""


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asked for a part of the page."""
    return bool(getattr(request, "htmx", False))
