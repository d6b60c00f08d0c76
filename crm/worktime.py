"""Working time: which moments count, and how much of a span does. Pure; the hours come from tenants, teams and people."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Span = tuple[time, time]
# From Monday: the spans of each weekday, in order and apart from each other. Midnight as an end is the day's end.
Week = tuple[tuple[Span, ...], ...]

ROUND_THE_CLOCK: Week = (((time(0), time(0)),),) * 7
# Where nothing opens for so long, nothing is open at all.
_FARTHEST = 3660


@dataclass(frozen=True, kw_only=True)
class WorkingTime:
    """Somebody's hours in their zone, but for holidays. Without hours on any day, every moment counts."""

    zone: ZoneInfo
    week: Week = ROUND_THE_CLOCK
    holidays: frozenset[date] = frozenset()

    def is_open(self, at: datetime) -> bool:
        """Whether this moment counts. The first instant of a span does, its last does not."""
        return any(start <= at < end for start, end in self._spans(at.astimezone(self.zone).date(), 1))

    def opens_at(self, at: datetime) -> datetime | None:
        """The first moment from `at` on that counts, in UTC; None where none does within ten years."""
        for start, end in self._spans(at.astimezone(self.zone).date(), _FARTHEST):
            if end > at:
                return max(start, at.astimezone(UTC))
        return None

    def later(self, start: datetime, span: timedelta) -> datetime | None:
        """The moment when so much working time has passed since `start`, in UTC. None where it never does."""
        left = span
        if left <= timedelta():
            return start.astimezone(UTC)
        for opens, closes in self._spans(start.astimezone(self.zone).date(), _FARTHEST):
            begins = max(opens, start.astimezone(UTC))
            if closes <= begins:
                continue
            if closes - begins >= left:
                return begins + left
            left -= closes - begins
        return None

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much working time lies between two moments; nothing where the end comes first."""
        passed = timedelta()
        if end <= start:
            return passed
        first, last = start.astimezone(self.zone).date(), end.astimezone(self.zone).date()
        for opens, closes in self._spans(first, (last - first).days + 1):
            passed += max(min(closes, end) - max(opens, start), timedelta())
        return passed

    def _spans(self, day: date, days: int) -> Iterator[tuple[datetime, datetime]]:
        """The open spans of so many days in UTC, where arithmetic is not led astray by a change of the clocks."""
        for number in range(days):
            current = day + timedelta(days=number)
            if current in self.holidays:
                continue
            for start, end in self.week[current.weekday()]:
                opens = self._instant(current, start)
                closes = self._instant(current + timedelta(days=1), end) if end == time(0) else self._instant(current, end)
                # A span that a change of the clocks swallows whole.
                if closes > opens:
                    yield opens, closes

    def _instant(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)


def read_week(stored: Mapping[str, Any] | None) -> Week:
    """Stored hours, `{"0": ["09:00", "17:00"], …}` or several such pairs in a list a day, 0 being Monday. None given: round the clock.

    Raises ValueError for what cannot be hours.
    """
    if not stored:
        return ROUND_THE_CLOCK
    if set(stored) - {str(day) for day in range(7)}:
        raise ValueError("Days are 0 (Monday) to 6.")
    return tuple(_day(stored.get(str(day)) or []) for day in range(7))


def _day(stored: Any) -> tuple[Span, ...]:
    pairs = [stored] if stored and isinstance(stored[0], str) else stored
    spans = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError("Each span has a start and an end.")
        start, end = (_time(text) for text in pair)
        if end != time(0) and end <= start:
            raise ValueError("Each span ends after its start.")
        spans.append((start, end))
    spans.sort()
    if any(earlier[1] == time(0) or earlier[1] > later[0] for earlier, later in itertools.pairwise(spans)):
        raise ValueError("The spans of a day may not overlap.")
    return tuple(spans)


def _time(text: Any) -> time:
    """24:00 is the day's end."""
    return time(0) if text == "24:00" else time.fromisoformat(str(text))
