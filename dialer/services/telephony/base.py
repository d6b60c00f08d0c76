"""What a telephone company can do for us. Providers speak in our own words; nothing outside this package knows theirs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from dialer.enums import AnsweredBy, CallStatus

# Tells the time anew while work goes on: the wall clock at the doors, a clock of its own in a rehearsal.
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Order:
    """A call to be placed. `for_person` calls are joined to somebody's line, the others are spoken by the machine."""

    call_id: int
    public_id: str
    phone: str
    caller_id: str
    attempt: int
    ring_seconds: int
    detect_machines: bool
    record: bool
    for_person: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What became of an order. Placed calls have an id; a refusal stands for good; without either it may have been placed or not."""

    provider_call_id: str = ""
    refused: str = ""
    trouble: str = ""
    # Whether we know that it was not placed, so that it may be ordered anew.
    not_placed: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Something heard of a call. `sequence` orders reports where the company numbers them, else it is -1."""

    status: CallStatus | None = None
    answered_by: AnsweredBy | None = None
    seconds: int | None = None
    sequence: int = -1
    provider_call_id: str = ""
    error: str = ""
    fingerprint: str
    payload: dict[str, Any] = field(default_factory=dict)
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The sound of a call, read to its end."""

    content: bytes
    suffix: str


class ProviderTrouble(Exception):
    """The company did not answer, or not as it should. May pass."""


class Provider(Protocol):
    """Every method bounds its own time and may raise ProviderTrouble. None runs in a transaction but the simulator's."""

    name: ClassVar[str]
    # Whether its calls are rows of our own, so that placing one may stand in the transaction that makes it.
    joins_transaction: ClassVar[bool]
    # How many orders a worker takes on at once.
    at_once: ClassVar[int]

    def place(self, orders: Sequence[Order], *, now: datetime) -> list[Placement]:
        """Place calls; one answer for each, in their order. Never raises for one of them."""

    def hang_up(self, provider_call_id: str, *, call_id: int, was_answered: bool, now: datetime) -> None:
        """End a call, ringing or not. One that is over already is left."""

    def find(self, order: Order, *, provider_call_id: str, taken: Collection[str], now: datetime) -> Progress | None:
        """What the company knows of a call, which may have been placed by a worker that died. None where it knows none.

        `taken` are the company's ids of other calls to the same number: none of them is this one.
        """

    def place_leg(self, *, session: str, phone: str, caller_id: str, now: datetime) -> str:
        """Call a person's own phone into their session's line. Answers the company's id of that call; empty where no line is needed."""

    def fetch_recording(self, address: str) -> Recording:
        """Fetch a recording the company told us of."""
