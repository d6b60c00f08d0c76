"""What happened to a record, in one order, newest first: each app adds a source of entries; a page of them is merged from all.

Every source reads at most a page behind the cursor along an index of its own, so a long story costs what a short one does.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.humanize import time_ago
from crm.registry import Registry, Text

CATEGORIES = ("communication", "lead_management", "engagement", "data_management")
# The span that a record's frequency of activities is of.
RECENT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """Where an entry stands. Things of one moment follow the order of their sources, then of their keys."""

    at: datetime
    order: int
    key: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.order}~{self.key}"

    @classmethod
    def read(cls, text: str) -> "Position":
        """Read a cursor, or InvalidInput."""
        try:
            moment, order, key = text.replace(" ", "+").split("~")
            at = parse_datetime(moment)
            if at is None or at.tzinfo is None or max(len(order), len(key)) > 18:
                raise ValueError
            return cls(at=at, order=int(order), key=int(key))
        except ValueError:
            raise InvalidInput({"cursor": ["This cursor cannot be read."]}) from None

    def behind(self, *, at: str, key: str, order: int) -> Q:
        """The rows of a source that come after this position: older ones, or at the same moment later in the order."""
        same = Q(**{at: self.at})
        if order < self.order:
            return Q(**{f"{at}__lte": self.at})
        older = Q(**{f"{at}__lt": self.at})
        return older | (same & Q(**{f"{key}__lt": self.key})) if order == self.order else older


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that happened. `text` says it plainly, `data` with what belongs to it; `template` draws it on a page.

    `is_system` is what no person did.
    """

    id: str
    kind: str
    category: str
    position: Position
    text: str
    user_id: int | None = None
    actor: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    is_system: bool = False
    template: str = ""

    @property
    def at(self) -> datetime:
        return self.position.at


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries are asked for. Empty kinds and categories mean all."""

    kinds: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    include_system: bool = True

    @property
    def is_everything(self) -> bool:
        return self == Wanted()

    def takes(self, *, kind: str, category: str, is_system: bool) -> bool:
        """Whether entries of this kind are asked for, whenever they happened."""
        return (
            (not self.kinds or kind in self.kinds)
            and (not self.categories or category in self.categories)
            and (self.include_system or not is_system)
        )

    def span(self, at: str) -> Q:
        condition = Q()
        if self.since is not None:
            condition &= Q(**{f"{at}__gte": self.since})
        if self.until is not None:
            condition &= Q(**{f"{at}__lt": self.until})
        return condition


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many entries of a kind there are, how many since a moment, and the first and the last."""

    kind: str
    category: str
    number: int
    recent: int
    first: datetime
    last: datetime


@dataclass(frozen=True, kw_only=True)
class TimelineSource:
    """A kind of happenings. Both are called by keyword.

    `entries(record, reader, wanted, before, order, most)` answers at most so many behind a position, newest first;
    `tallies(record, reader, wanted, recent)` counts them all, in one query. `words` are the kinds it may answer; `shows` are the
    filters it offers on the record's page: code, label, kinds.
    """

    name: str
    order: int
    words: tuple[str, ...]
    entries: Callable[..., Iterable[Entry]]
    tallies: Callable[..., Sequence[Tally]]
    shows: tuple[tuple[str, Text, tuple[str, ...]], ...] = ()


timeline_sources: Registry[TimelineSource] = Registry()


@dataclass(frozen=True)
class TimelinePage:
    """Entries in order, and where the next page starts."""

    entries: list[Entry]
    next_cursor: str | None


def page_of(
    label: str,
    record: Any,
    *,
    reader: Actor,
    wanted: Wanted | None = None,
    cursor: str = "",
    most: int = 50,
    before: Position | None = None,
) -> TimelinePage:
    """One page of a record's timeline, as its reader may see it."""
    wanted = wanted or Wanted()
    if cursor:
        before = Position.read(cursor)
    found = [
        source.entries(record=record, reader=reader, wanted=wanted, before=before, order=source.order, most=most + 1)
        for source in timeline_sources.of(label)
        if not wanted.kinds or wanted.kinds & set(source.words)
    ]
    merged = list(islice(heapq.merge(*found, key=lambda entry: entry.position, reverse=True), most + 1))
    page = merged[:most]
    return TimelinePage(entries=page, next_cursor=str(page[-1].position) if len(merged) > most else None)


def tallies_of(label: str, record: Any, *, reader: Actor, wanted: Wanted | None = None, now: datetime | None = None) -> list[Tally]:
    """How much there is, one query a source."""
    wanted = wanted or Wanted()
    recent = (now or datetime.now(UTC)) - RECENT
    return [
        tally
        for source in timeline_sources.of(label)
        if not wanted.kinds or wanted.kinds & set(source.words)
        for tally in source.tallies(record=record, reader=reader, wanted=wanted, recent=recent)
        if tally.number
    ]


def shows_of(label: str) -> list[tuple[str, Text, frozenset[str]]]:
    """The filters that a record's page offers, each once, with the kinds that it shows."""
    offered: dict[str, tuple[Text, frozenset[str]]] = {}
    for source in reversed(timeline_sources.of(label)):
        for code, text, kinds in source.shows:
            offered[code] = (text, offered.get(code, (text, frozenset()))[1] | frozenset(kinds))
    return [(code, text, kinds) for code, (text, kinds) in offered.items()]


def kinds_known(label: str) -> set[str]:
    return {word for source in timeline_sources.of(label) for word in source.words}


def totals(found: Sequence[Tally]) -> Tally | None:
    """All tallies as one; None where there is nothing."""
    if not found:
        return None
    last = max(found, key=lambda tally: tally.last)
    first = min(tally.first for tally in found)
    return replace(last, number=sum(tally.number for tally in found), recent=sum(tally.recent for tally in found), first=first)


def entry_out(entry: Entry, now: datetime) -> dict[str, Any]:
    """An entry as the API answers it (rule 0.41)."""
    answer = {
        "id": entry.id,
        "activity_type": entry.kind,
        "timestamp": entry.at,
        "description": entry.text,
        "category": entry.category,
        "user_id": entry.user_id if entry.user_id is not None else "system",
        "time_ago": time_ago(entry.at, now=now),
    }
    if entry.actor:
        answer["actor"] = entry.actor
    if entry.data:
        answer["data"] = dict(entry.data)
    return answer
