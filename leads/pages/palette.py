"""Leads in the command palette and on the search page."""

from django.urls import reverse

from crm.actors import Actor
from leads.filters import LeadList
from leads.permissions import VIEW
from leads.selectors import leads_in_order

MOST = 8


def find_leads(query: str, actor: Actor) -> list[dict[str, str]]:
    """The newest leads in sight that match."""
    if not actor.can(VIEW):
        return []
    page = LeadList(params={"search": query}, actor=actor).listing.page(limit=MOST)
    return [
        {
            "label": lead.display_name,
            "sub": " · ".join(part for part in (lead.company, lead.status.label) if part),
            "url": reverse("leads:detail", args=[lead.pk]),
            "icon": "user",
        }
        for lead in leads_in_order(page.ids)
    ]
