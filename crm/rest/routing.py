"""Routes of the API, added by each app and mounted by the project under every base path of a surface."""

import re
from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, re_path

_surfaces: dict[str, list[tuple[str, URLPattern]]] = {}


def route(path: str, view: Callable[..., Any], *, name: str, surface: str = "crm") -> None:
    """Add a route, such as `leads/{id}`. It answers with and without a trailing slash, without a redirect.

    Patterns with fewer parameters come first, so that a static word wins over `{id}` (P1–P4).
    """
    pattern = "^" + re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path.strip("/"))).replace(r"\-", "-") + "/?$"
    entries = _surfaces.setdefault(surface, [])
    if not any(entry.name == name for _, entry in entries):
        entries.append((path, re_path(pattern, view, name=name)))


def routes(surface: str = "crm") -> list[URLPattern]:
    """All routes of a surface, static words first."""

    def rank(entry: tuple[str, URLPattern]) -> list[bool]:
        return [part.startswith("{") for part in entry[0].strip("/").split("/")]

    return [pattern for _, pattern in sorted(_surfaces.get(surface, []), key=rank)]
