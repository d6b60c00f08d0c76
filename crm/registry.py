"""What an app gives the kernel, filled in `AppConfig.ready()` from its `extensions.py`. Lower layers ask here, never upwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.utils.functional import Promise

from crm.actors import Actor

T = TypeVar("T")
Text = str | Promise


class Registry(Generic[T]):
    """An ordered list of contributions per key. A model's key is its label, such as `leads.Lead`."""

    def __init__(self) -> None:
        self._items: dict[str, list[tuple[int, int, T]]] = defaultdict(list)

    def add(self, key: str, item: T, *, order: int = 100) -> T:
        if not any(known is item or known == item for _, _, known in self._items[key]):
            self._items[key].append((order, len(self._items[key]), item))
            self._items[key].sort(key=lambda entry: entry[:2])
        return item

    def of(self, key: str) -> list[T]:
        return [item for _, _, item in self._items[key]]


@dataclass(frozen=True, kw_only=True)
class NavItem:
    """An entry of the sidebar. `key` is its keyboard shortcut; without the capability it is not shown."""

    label: Text
    url: str
    icon: str
    key: str = ""
    capability: str = ""


@dataclass(frozen=True, kw_only=True)
class SettingsPage:
    """An entry of the settings menu, grouped under a heading."""

    label: Text
    url: str
    icon: str
    group: Text
    capability: str = ""
    description: Text = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Something a higher app shows on a lower record, on page and in the API alike.

    `build(record, actor)` answers plain data; `template` renders it as `section`; `api_key` names it in API answers. `place` is where on
    the record's page: `meta` (in the line of badges), `head` (below it), `main` (above the timeline), `aside`, `dialogs`.
    """

    name: str
    build: Callable[..., Any]
    template: str = ""
    api_key: str = ""
    place: str = "aside"


@dataclass(frozen=True, kw_only=True)
class SearchSource:
    """A group of results in the command palette."""

    label: Text
    find: Callable[[str, Actor], Sequence[dict[str, str]]]


@dataclass(frozen=True, kw_only=True)
class BulkAction:
    """Something to do with the rows selected in a list. The selection is posted to `url`: `ids`, or `all_matching` with `query`."""

    label: Text
    icon: str
    url: str
    capability: str = ""


@dataclass(frozen=True, kw_only=True)
class SaveableList:
    """A list whose state people may save as a view. `name` is kept with the views, `url` is the list's page.

    `seen_by(state, reader)` answers a state without the parameters that its reader must not know.
    """

    name: str
    label: Text
    url: str
    icon: str = "list"
    capability: str = ""
    seen_by: Callable[[Mapping[str, Any], Actor], dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class UndoParticipant:
    """What an app says about taking back what an operation did to its tracked records.

    `made_by` is the column that holds the operation a record was made by. `visible(ids, by)` answers the ids that the
    actor may change; `discard(ids, by)` takes away records that the operation made; `tell(records, names, by)`
    publishes that these fields have their earlier values again. All are called by keyword. `related` are the records that
    computed values look at, loaded once for all.
    """

    model: str
    made_by: str
    visible: Callable[..., set[int]]
    discard: Callable[..., None]
    tell: Callable[..., None]
    related: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MergeParticipant:
    """Records that hang on another and go with it when two become one.

    `count(source_ids)` tells how many there are; `move(source_id, target_id, by)` gives the source's records to the target and answers the ids of those moved;
    `move_back(ids, source_id, target_id, by)` returns those that are still the target's, and answers their ids. All are called by keyword.
    """

    name: str
    label: Text
    count: Callable[..., int]
    move: Callable[..., list[int]]
    move_back: Callable[..., list[int]]


@dataclass(frozen=True, kw_only=True)
class SimilarRecord:
    """A stored record that is probably the one about to be made: 0 to 1, and the fields in which they agree."""

    id: int
    similarity: float
    matched_on: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TodayItem:
    """Something for a person to do now. The heavier come first; things with one `key` stand once.

    `done_url` and `put_off_url` take a post: `in` holds `done_value`, or the word of the time that it is put off to.
    """

    key: str
    lead_id: int
    kind: str
    icon: str
    text: str
    at: datetime
    weight: float
    tone: str = ""
    done_url: str = ""
    done_value: str = "done"
    put_off_url: str = ""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What calls a number that somebody clicks on: a post to `url` with `phone`, and the record's id where it is known."""

    url: str
    capability: str = ""


navigation: Registry[NavItem] = Registry()
# The first that a person may use. By "main".
callers: Registry[Caller] = Registry()
settings_pages: Registry[SettingsPage] = Registry()
sections: Registry[Section] = Registry()
search_sources: Registry[SearchSource] = Registry()
saveable_lists: Registry[SaveableList] = Registry()
# By the list's name.
bulk_actions: Registry[BulkAction] = Registry()
# What stands pinned in somebody's sidebar: label, url and icon of each; at most one query.
pinned_entries: Registry[Callable[[Actor], list[dict[str, Any]]]] = Registry()
# What the bell beside a person's name says: url and the number of what is new.
bells: Registry[Callable[[Actor], dict[str, Any]]] = Registry()
# What stands in the queue of Today: called with the actor, the moment, and how many at most. By "main".
today_sources: Registry[Callable[[Actor, datetime, int], Sequence[TodayItem]]] = Registry()
# Values computed for rows before they are written, set-wise: rows in, one dict of values a row out.
computed_values: Registry[Callable[[list[Any]], list[dict[str, Any]]]] = Registry()
# Checks a higher app lays on a lower one's change: (record, changes, actor) → None, or raise a DomainError.
guards: Registry[Callable[..., None]] = Registry()


undo_participants: Registry[UndoParticipant] = Registry()
# By the label of the model that merges.
merge_participants: Registry[MergeParticipant] = Registry()
# The record that stands for one which is there no longer: id → id, or None. By the model's label.
successors: Registry[Callable[[int], int | None]] = Registry()
# The kind of operation that takes back those of another kind, where the history alone cannot. By the other kind's name.
undo_kinds: Registry[str] = Registry()
# What finds records like one that is not stored yet: called with the draft and by whom, by keyword, it answers the likeliest
# first. By the model's label.
similar_records: Registry[Callable[..., Sequence[SimilarRecord]]] = Registry()
# The columns and fields in an operation's kept rows that a reader may not see: called with the operation and the reader. By the
# name of its kind.
hidden_columns: Registry[Callable[[Any, Actor], frozenset[str]]] = Registry()
# Deleted records that a higher app still needs, as a queryset of ids: no bin shows or empties them. By the model's label.
kept_apart: Registry[Callable[[], Any]] = Registry()


def compute_values(label: str, rows: Sequence[Any]) -> None:
    """Set every registered computed value on unsaved or changed rows."""
    for compute in computed_values.of(label):
        for row, values in zip(rows, compute(list(rows)), strict=True):
            for name, value in values.items():
                setattr(row, name, value)


def successor_of(label: str, pk: int) -> int | None:
    """The record that an earlier one became, as far as any app knows."""
    return next((found for find in successors.of(label) if (found := find(pk)) is not None), None)


def visible(items: Iterable[T], actor: Actor) -> list[T]:
    """Drop the entries whose capability the actor lacks."""
    return [item for item in items if not getattr(item, "capability", "") or actor.can(item.capability)]  # type: ignore[attr-defined]
