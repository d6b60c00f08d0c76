"""Hooks of the generated description."""

from typing import Any


def only_crm_surface(endpoints: list[Any]) -> list[Any]:
    """Describe each path once: under /api, without the optional slash."""
    described = []
    for path, path_regex, method, callback in endpoints:
        if path.startswith("/api/") and not path.startswith(("/api/docs", "/api/v1/")):
            described.append((path.replace("/?", "").rstrip("/"), path_regex, method, callback))
    return described
