"""The CRM surface's envelope (decisions, "Envelope of the CRM API"): one superset that satisfies documents 0, 1 and 4."""

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.response import Response

VERSION = "1.0"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A refusal before it takes a surface's shape. `fields` maps a field to its messages."""

    status: int
    code: str
    message: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def meta(request: HttpRequest, *, pagination: dict[str, Any] | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"timestamp": timezone.now(), "version": VERSION, "requestId": getattr(request, "request_id", "")}
    if pagination is not None:
        facts["pagination"] = pagination
    return facts


def success(
    request: Any, data: Any, *, message: str | None = None, status: int = 200, pagination: dict[str, Any] | None = None, **beside: Any
) -> Response:
    """Answer in the envelope. `beside` are top-level keys, such as document 1's `filters` and `total`."""
    body: dict[str, Any] = {"success": True, "data": data}
    if message is not None:
        body["message"] = message
    body.update(beside)
    body["meta"] = meta(request, pagination=pagination)
    return Response(body, status=status)


class CrmSurface:
    """Shapes refusals for documents 0, 1 and 4. Other surfaces bring a class with the same method."""

    @staticmethod
    def refuse(problem: Problem, request: HttpRequest) -> dict[str, Any]:
        errors = [
            {"code": problem.code, "message": text, "field": name or None} for name, texts in problem.fields.items() for text in texts
        ]
        return {
            "success": False,
            "message": problem.message,
            "error": {"code": problem.code, "message": problem.message, "details": {**problem.fields, **problem.details}},
            "errors": errors or [{"code": problem.code, "message": problem.message, "field": None}],
            "meta": meta(request),
        }


# Surfaces that live below the paths of another, by where they are mounted.
_mounted: dict[str, Any] = {}


def mount_surface(prefix: str, surface: Any) -> None:
    """Shape refusals of addresses that nothing answers at, below `prefix`, as this surface does."""
    _mounted[prefix] = surface


def surface_at(path: str) -> Any:
    """The surface of an address, whether anything answers there or not."""
    return next((surface for prefix, surface in _mounted.items() if path.startswith(prefix)), CrmSurface)
