"""Document 4's lists: `data` an array, `meta.pagination` beside it. For tables of people and settings; leads page by keyset."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.rest.envelope import success

DEFAULT_LIMIT, MAX_LIMIT = 25, 200

PAGE_PARAMETERS = [
    OpenApiParameter("page", int, description="Page number, from 1"),
    OpenApiParameter("limit", int, description=f"Rows a page, at most {MAX_LIMIT}"),
]


def whole(params: Mapping[str, Any], name: str, *, default: int, least: int, most: int) -> int:
    """Read a whole number of a query, or refuse it by name."""
    text = str(params.get(name, "") or "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or not least <= int(text) <= most:
        raise InvalidInput({name: [f"Must be a whole number from {least} to {most}."]})
    return int(text)


def paged(request: Request, rows: QuerySet[Any] | list[Any], out: Callable[[Any], dict[str, Any]], **beside: Any) -> Response:
    """Answer one page of `rows`. Ordered rows only; the total is exact."""
    number = whole(request.query_params, "page", default=1, least=1, most=10**9)
    limit = whole(request.query_params, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    start = (number - 1) * limit
    page = list(rows[start : start + limit]) if start < total else []
    pagination = {"page": number, "limit": limit, "total": total, "hasNext": start + limit < total, "hasPrev": number > 1}
    return success(request, [out(row) for row in page], pagination=pagination, **beside)
