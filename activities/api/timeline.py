"""A lead's timeline: S0-12 with statistics, S1-38 as a plain list."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from activities.api import bodies
from activities.api.bodies import bound_of, parameters
from activities.permissions import VIEW
from crm.errors import InvalidInput
from crm.filters import parse_flag
from crm.rest.envelope import success
from crm.rest.paging import MAX_LIMIT, whole
from crm.rest.views import ApiView, parse_id
from crm.timeline import CATEGORIES, RECENT, Tally, Wanted, entry_out, kinds_known, page_of, tallies_of, totals
from crm.words import word_key
from leads.services.editing import find_lead

LEADS = "leads.Lead"


def wanted_of(params: Any) -> Wanted:
    """What a query asks for (rule 0.40), or InvalidInput by parameter."""
    problems: dict[str, list[str]] = {}
    kinds = frozenset(word_key(word) for word in params.get("activity_types", "").split(",") if word.strip())
    categories = frozenset(word_key(word) for word in params.get("category", "").split(",") if word.strip())
    if unknown := kinds - kinds_known(LEADS):
        problems["activity_types"] = [f"Unknown: {', '.join(sorted(unknown))[:100]}."]
    if categories - set(CATEGORIES):
        problems["category"] = [f"Must be one of {', '.join(CATEGORIES)}."]
    text = params.get("include_system", "")
    include_system = True
    try:
        include_system = parse_flag(text) if text else True
    except ValueError as error:
        problems["include_system"] = [str(error)]
    if problems:
        raise InvalidInput(problems)
    return Wanted(
        kinds=kinds,
        categories=categories,
        since=bound_of(params, "start_date"),
        until=bound_of(params, "end_date", ends=True),
        include_system=include_system,
    )


class TimelineView(ApiView):
    """S0-12."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="A lead's timeline",
        tags=["leads"],
        parameters=[
            *parameters("limit", "activity_types", "start_date", "end_date"),
            OpenApiParameter("include_system", bool, default=True),
            OpenApiParameter("category", str, enum=list(CATEGORIES)),
            OpenApiParameter("cursor", str, description="Where the last page ended"),
        ],
        responses={200: bodies.TIMELINE},
    )
    def get(self, request: Request, id: str, **_: Any) -> Response:
        params, now = request.query_params, datetime.now(UTC)
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        wanted = wanted_of(params)
        lead = find_lead(lead_id=parse_id(id), by=self.actor)
        page = page_of(LEADS, lead, reader=self.actor, wanted=wanted, cursor=params.get("cursor", ""), most=limit)
        everything = tallies_of(LEADS, lead, reader=self.actor, now=now)
        matching = everything if wanted.is_everything else tallies_of(LEADS, lead, reader=self.actor, wanted=wanted, now=now)
        shown = totals(matching)
        data = {
            "lead_id": lead.pk,
            "lead_name": lead.display_name,
            "timeline": [entry_out(entry, now) for entry in page.entries],
            "statistics": _statistics(everything),
            "summary": {
                "total_activities": shown.number if shown else 0,
                "activities_shown": len(page.entries),
                "date_range": {"earliest": shown.first if shown else None, "latest": shown.last if shown else None},
            },
            "next_cursor": page.next_cursor,
        }
        return success(request, data)


def _statistics(found: Sequence[Tally]) -> dict[str, Any]:
    """`activity_frequency` is the number a day over the last thirty (rule 0.43)."""
    whole_story = totals(found)
    by_category = dict.fromkeys(CATEGORIES, 0)
    for tally in found:
        by_category[tally.category] += tally.number
    return {
        "total_activities": whole_story.number if whole_story else 0,
        "by_category": by_category,
        "last_activity": {"activity_type": whole_story.kind, "timestamp": whole_story.last} if whole_story else None,
        "activity_frequency": f"{(whole_story.recent if whole_story else 0) / RECENT.days:.2f}",
    }


class LeadTimelineView(ApiView):
    """S1-38."""

    capabilities: ClassVar[dict[str, str]] = {"get": VIEW}

    @extend_schema(
        summary="A lead's activities in order", tags=bodies.TAGS, parameters=parameters("limit", "cursor"), responses={200: bodies.ENTRIES}
    )
    def get(self, request: Request, lead_id: str, **_: Any) -> Response:
        params, now = request.query_params, datetime.now(UTC)
        limit = whole(params, "limit", default=50, least=1, most=MAX_LIMIT)
        lead = find_lead(lead_id=parse_id(lead_id, field="lead_id"), by=self.actor)
        page = page_of(LEADS, lead, reader=self.actor, cursor=params.get("cursor", ""), most=limit)
        pagination = {"limit": limit, "nextCursor": page.next_cursor, "hasNext": page.next_cursor is not None}
        return success(
            request,
            [entry_out(entry, now) for entry in page.entries],
            filters={"limit": limit},
            total=len(page.entries),
            pagination=pagination,
        )
