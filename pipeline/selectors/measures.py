"""What the figures of stages are made of."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# Stand for an open beginning and an open end.
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def hours_of(span: timedelta) -> float:
    """In hours with two decimals."""
    return round(span.total_seconds() / 3600, 2)


@dataclass(kw_only=True)
class Stay:
    """Sums over the stays in one status."""

    entries: int = 0
    exits: int = 0
    spent: timedelta = timedelta()
    over_24h: int = 0
    over_48h: int = 0
    # Where the stays went that ended: how many, and the time they had taken.
    went_to: dict[int, tuple[int, timedelta]] = field(default_factory=dict)

    @property
    def average_hours(self) -> float | None:
        return hours_of(self.spent / self.exits) if self.exits else None


@dataclass(kw_only=True)
class Past:
    """What happened in a span of time by status, and how many leads were in each at its end; the shortest and the longest stay."""

    stays: dict[int, Stay] = field(default_factory=dict)
    present: dict[int, int] = field(default_factory=dict)
    ranges: dict[int, tuple[timedelta, timedelta]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Leads that are in a status now."""

    leads: int
    average: timedelta
    oldest: datetime
    over: tuple[int, ...]


@dataclass(kw_only=True)
class Now:
    """Where leads are, by status, and what came and went of late."""

    waiting: dict[int, Waiting] = field(default_factory=dict)
    lately: dict[int, Stay] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Of the stays in a status: how many ended, how many of those in the time allowed, how many go on, and for longer than that."""

    ended: int = 0
    within: int = 0
    waiting: int = 0
    late: int = 0
