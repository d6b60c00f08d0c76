"""Pages of the kernel itself: the settings menu, search and the command palette's answers."""

from collections import defaultdict
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from crm.registry import search_sources, settings_pages, visible
from crm.web.pages import Page

MOST_RESULTS = 8


class SettingsPage(Page):
    """The menu of all settings the user may open, by group."""

    template = "web/settings.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        groups: dict[str, list[Any]] = defaultdict(list)
        for item in visible(settings_pages.of("main"), self.actor):
            groups[str(item.group)].append(item)
        return self.show({"groups": dict(groups)})


class SearchPage(Page):
    """Results of all sources for a query, for browsers without scripts and for links."""

    template = "web/search.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        query = request.GET.get("q", "").replace("\x00", "").strip()[:200]
        return self.show({"query": query, "groups": self.find(query)})

    def find(self, query: str) -> list[dict[str, Any]]:
        if not query:
            return []
        groups = [
            {"label": str(source.label), "items": list(source.find(query, self.actor))[:MOST_RESULTS]}
            for source in search_sources.of("main")
        ]
        return [group for group in groups if group["items"]]


class PalettePage(SearchPage):
    """The same for the command palette."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        query = request.GET.get("q", "").replace("\x00", "").strip()[:200]
        return JsonResponse({"groups": self.find(query)})
