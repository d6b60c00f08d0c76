"""Subscriptions: what happens to leads moves the clocks of service levels."""

from django.utils import timezone

from crm.events.bus import Event
from leads.events import LeadsAssigned, LeadsCaptured, LeadsChanged, LeadsDeleted, LeadsRestored
from pipeline.services.clocks import refresh_clocks

_OF_LEADS = (LeadsCaptured, LeadsChanged, LeadsAssigned, LeadsDeleted, LeadsRestored)


def follow(event: Event) -> None:
    """Every door that moves a lead tells of a change, too."""
    if isinstance(event, _OF_LEADS):
        refresh_clocks(lead_ids=event.lead_ids, now=timezone.now())
