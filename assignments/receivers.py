"""What assignments do when leads come in and change hands."""

from collections.abc import Sequence

from assignments.services.capture import assign_captured
from assignments.services.telling import tell_owners
from crm.events.bus import subscribe, subscribe_to_many
from leads.events import LeadArrivedAgain, LeadsAssigned, LeadsCaptured


def place_captured(events: Sequence[LeadsCaptured]) -> None:
    """The pieces of an import are placed together: rules and people are read once for all."""
    assign_captured(lead_ids=[pk for event in events for pk in event.lead_ids])


def place_again(event: LeadArrivedAgain) -> None:
    assign_captured(lead_ids=[event.lead_id])


def tell_assigned(events: Sequence[LeadsAssigned]) -> None:
    """One notification for all that somebody was given by now."""
    by_owner: dict[int, list[int]] = {}
    for event in events:
        if event.owner_id is not None:
            by_owner.setdefault(event.owner_id, []).extend(event.lead_ids)
    for owner_id, lead_ids in by_owner.items():
        tell_owners(lead_ids=lead_ids, owner_id=owner_id)


subscribe_to_many(LeadsCaptured, place_captured)
subscribe(LeadArrivedAgain, place_again)
subscribe_to_many(LeadsAssigned, tell_assigned)
