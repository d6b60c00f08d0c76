"""Subscriptions: what happens to leads moves the clocks of service levels."""

from collections.abc import Sequence

from django.utils import timezone

from leads.events import LeadsCaptured, LeadsChanged, LeadsDeleted, LeadsMoved, LeadsRestored
from pipeline.services.clocks import refresh_clocks
from pipeline.services.stages import note_down

OfLeads = LeadsCaptured | LeadsChanged | LeadsDeleted | LeadsRestored


def follow(events: Sequence[OfLeads]) -> None:
    """Every door that moves or gives a lead tells of a change, too, or of its capture. A lead that many tell of is looked at once."""
    refresh_clocks(lead_ids=[pk for event in events for pk in event.lead_ids], now=timezone.now())


def note_move(event: LeadsMoved) -> None:
    """What is said with a move stands in the stay that it begins."""
    note_down(event=event)
