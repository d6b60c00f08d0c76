"""What happens to leads. Bulk services publish one event with many ids."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class LeadsCaptured(Event):
    """New leads, from any door. `enrich` is what their sender wished; None where nothing was said."""

    name = "lead.captured"
    live = True
    lead_ids: tuple[int, ...]
    door: str
    enrich: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LeadArrivedAgain(Event):
    """A known lead came in once more; its arrival was attached."""

    name = "lead.arrived_again"
    live = True
    lead_id: int
    arrival_id: int


@dataclass(frozen=True, kw_only=True)
class LeadsChanged(Event):
    """Fields of leads changed. Old values are in the history."""

    name = "lead.changed"
    live = True
    lead_ids: tuple[int, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LeadsMoved(Event):
    """Leads went from one status to another: all of them from the same to the same. `note` and `next_action` came with the move."""

    name = "lead.status_changed"
    live = True
    lead_ids: tuple[int, ...]
    from_status: int
    to_status: int
    rules_skipped: bool = False
    note: str = ""
    next_action: str = ""


@dataclass(frozen=True, kw_only=True)
class LeadsAssigned(Event):
    """Leads were given to somebody, or to nobody."""

    name = "lead.assigned"
    live = True
    lead_ids: tuple[int, ...]
    owner_id: int | None


@dataclass(frozen=True, kw_only=True)
class LeadsDeleted(Event):
    name = "lead.deleted"
    live = True
    lead_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LeadsRestored(Event):
    name = "lead.restored"
    live = True
    lead_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LeadsPurged(Event):
    """Leads were deleted for good."""

    name = "lead.purged"
    lead_ids: tuple[int, ...]
