"""A lead's place in the dialer: the queues it waits in and why, and its last calls. Asked for by the lead's page when it is seen."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from crm.actors import Actor
from crm.web.pages import Page
from dialer.pages.shown import call_row, entry_row
from dialer.permissions import CALL, COACH
from dialer.selectors.queues import agents_worked_by, calls_visible_to, entries_visible_to, require_sight
from dialer.services.limits import why_not
from leads.services.editing import find_lead

MOST = 5


def calling_section(lead: Any, actor: Actor) -> dict[str, Any] | None:
    """Only where the rest is found: it costs the lead's page no query."""
    return {"lead_id": lead.pk} if actor.can(CALL) or actor.can(COACH) else None


class LeadCallsPage(Page):
    """The queues and the last calls of a lead in sight."""

    template = "dialer/lead_calls.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        require_sight(by=self.actor)
        lead, now = find_lead(lead_id=pk, by=self.actor), timezone.now()
        entries = list(
            entries_visible_to(self.actor).filter(lead=lead).select_related("agent", "lead").defer("search").order_by("-pk")[:MOST]
        )
        why = why_not(entries=entries, now=now, user_id=self.actor.user_id)
        calls = (
            calls_visible_to(self.actor)
            .filter(lead=lead)
            .select_related("user", "lead")
            .defer("search")
            .order_by("-created_at", "-pk")[:MOST]
        )
        return self.show(
            {
                "lead": lead,
                "entries": [entry_row(entry, why[entry.pk], frozenset({lead.pk})) for entry in entries],
                "calls": [call_row(call, frozenset({lead.pk})) for call in calls],
                "agents": list(agents_worked_by(self.actor)) if lead.phone else [],
            },
            part="calls" if request.htmx else "",  # type: ignore[attr-defined]
        )
