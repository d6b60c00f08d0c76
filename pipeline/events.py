"""What happens to service levels."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class SlaDueSoon(Event):
    """The time of these leads under a policy is running out."""

    name = "lead.sla_due_soon"
    live = True
    lead_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SlaBreached(Event):
    """The time of these leads under a policy has run out."""

    name = "lead.sla_breached"
    live = True
    lead_ids: tuple[int, ...]
