"""Every route of the project, read from the resolver."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path with its parameters in braces, such as `/api/leads/{id}`."""

    path: str
    view: Callable[..., Any]

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def view_class(self) -> Any:
        return getattr(self.view, "view_class", None) or getattr(self.view, "cls", None)

    def filled(self, values: dict[str, Any]) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), self.path)


def all_routes() -> list[Route]:
    return [Route(path=path, view=view) for path, view in _walk(get_resolver().url_patterns, "/")]


def _walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for item in patterns:
        path = prefix + _plain(str(item.pattern))
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, path)
        elif isinstance(item, URLPattern):
            yield path, item.callback


def _plain(pattern: str) -> str:
    text = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern)
    text = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", text)
    return text.replace("/?$", "").replace("^", "").replace("$", "").replace("\\", "")
