"""What happens to duplicates."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class LeadsMerged(Event):
    """Leads became part of another; everything that hung on them is the winner's now."""

    name = "lead.merged"
    live = True
    winner_id: int
    loser_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LeadsParted(Event):
    """A merge was taken back."""

    name = "lead.parted"
    live = True
    winner_id: int
    loser_id: int
