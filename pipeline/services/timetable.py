"""Working time worked out once and looked up for many moments: a due time costs a search instead of a walk over days."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate

from crm.worktime import ROUND_THE_CLOCK, WorkingTime

_NOTHING = timedelta()
# Where so many days hold too little working time, there is none: as WorkingTime has it.
_FARTHEST = 3660
# Days laid out at once before the first moment asked for and after the last.
_MARGIN = 200


@dataclass(frozen=True)
class _Laid:
    """The open spans of days from `first` on, up to `last`, and how much working time has passed when each ends."""

    first: date
    last: date
    opens: list[datetime]
    closes: list[datetime]
    passed: list[timedelta]


class Timetable:
    """The same answers as `WorkingTime.later` and `.between`. Many threads may share one: what is laid out is only ever replaced whole."""

    def __init__(self, hours: WorkingTime) -> None:
        self.hours = hours
        self._always = hours.week == ROUND_THE_CLOCK and not hours.holidays
        self._laid: _Laid | None = None

    def later(self, start: datetime, span: timedelta) -> datetime | None:
        """The moment when so much working time has passed since `start`, in UTC. None where it never does."""
        if span <= _NOTHING:
            return start.astimezone(UTC)
        if self._always:
            return start.astimezone(UTC) + span
        day = start.astimezone(self.hours.zone).date()
        reach = _MARGIN
        while True:
            laid = self._around(day, reach)
            wanted = _worked_by(laid, start) + span
            place = bisect_left(laid.passed, wanted)
            if place < len(laid.passed):
                if (laid.opens[place].astimezone(self.hours.zone).date() - day).days >= _FARTHEST:
                    return None
                return laid.closes[place] - (laid.passed[place] - wanted)
            if reach >= _FARTHEST:
                return None
            reach = min(reach * 4, _FARTHEST)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much working time lies between two moments; nothing where the end comes first."""
        if end <= start:
            return _NOTHING
        if self._always:
            return end - start
        zone = self.hours.zone
        last = end.astimezone(zone).date()
        first = start.astimezone(zone).date()
        laid = self._around(first, (last - first).days + 1)
        return _worked_by(laid, end) - _worked_by(laid, start)

    def _around(self, day: date, reach: int) -> _Laid:
        """What is laid out, made to hold so many days from this one on."""
        laid, until = self._laid, day + timedelta(days=reach)
        if laid is None or day < laid.first or until > laid.last:
            first = day - timedelta(days=_MARGIN) if laid is None or day < laid.first else laid.first
            last = until + timedelta(days=_MARGIN) if laid is None or until > laid.last else laid.last
            laid = self._laid = self._lay(first, last)
        return laid

    def _lay(self, first: date, last: date) -> _Laid:
        spans = list(_apart(self._spans(first, last)))
        opens, closes = [opened for opened, _closed in spans], [closed for _opened, closed in spans]
        return _Laid(first, last, opens, closes, list(accumulate(closed - opened for opened, closed in spans)))

    def _spans(self, first: date, last: date) -> Iterable[tuple[datetime, datetime]]:
        hours = self.hours
        for number in range((last - first).days):
            day = first + timedelta(days=number)
            if day not in hours.holidays:
                for start, end in hours.week[day.weekday()]:
                    opened = datetime.combine(day, start, tzinfo=hours.zone).astimezone(UTC)
                    # Midnight as an end is the day's end.
                    closing = day + timedelta(days=1) if end == time(0) else day
                    yield opened, datetime.combine(closing, end, tzinfo=hours.zone).astimezone(UTC)


def _apart(spans: Iterable[tuple[datetime, datetime]]) -> Iterable[tuple[datetime, datetime]]:
    """Without what a change of the clocks swallows, or would count twice."""
    before: datetime | None = None
    for opened, closed in spans:
        begins = opened if before is None else max(opened, before)
        if closed > begins:
            yield begins, closed
            before = closed


def _worked_by(laid: _Laid, at: datetime) -> timedelta:
    """The working time from the first day laid out until a moment."""
    place = bisect_right(laid.opens, at) - 1
    if place < 0:
        return _NOTHING
    return laid.passed[place] - max(laid.closes[place] - at, _NOTHING)


@lru_cache(maxsize=256)
def timetable_of(hours: WorkingTime) -> Timetable:
    """The timetable of these hours, shared by all whose hours are the same."""
    return Timetable(hours)
