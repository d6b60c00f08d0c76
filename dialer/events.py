"""What happens in the dialer. Bulk services publish one event with many ids."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class CallStarted(Event):
    """A call was placed. Thousands of them a second are no news for open pages: a person's own page is told by itself."""

    name = "call.started"
    call_id: int
    lead_id: int | None
    user_id: int | None


@dataclass(frozen=True, kw_only=True)
class CallEnded(Event):
    """A call is over and its result stands. `disposition` is empty while its entry goes on."""

    name = "call.ended"
    live = True
    call_id: int
    lead_id: int | None
    user_id: int | None
    agent_id: int | None
    result: str
    disposition: str
    seconds: int


@dataclass(frozen=True, kw_only=True)
class EntriesQueued(Event):
    """Leads were put into an agent's queue."""

    name = "dialer.entries_queued"
    live = True
    agent_id: int
    entry_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EntriesFinished(Event):
    """Entries came to their end, all with the same disposition."""

    name = "dialer.entries_finished"
    live = True
    entry_ids: tuple[int, ...]
    disposition: str
