"""What leads do when something happened to leads."""

from leads.events import LeadsCaptured, LeadsChanged, LeadsRestored
from leads.services.custom_fields import claim_for_changed, claim_for_new


def claim_captured(event: LeadsCaptured) -> None:
    claim_for_new(lead_ids=event.lead_ids)


def claim_changed(event: LeadsChanged) -> None:
    if "custom_fields" in event.fields:
        claim_for_changed(lead_ids=event.lead_ids)


def claim_restored(event: LeadsRestored) -> None:
    claim_for_changed(lead_ids=event.lead_ids)
