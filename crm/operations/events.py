from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class OperationEnded(Event):
    """A piece of long work is done, or failed. `seconds` is how long its person waited since asking for it."""

    name = "operation.ended"
    operation_id: int
    seconds: float
    failed: bool = False
