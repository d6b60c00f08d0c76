"""Rows of an import's file as drafts: read and normalised a chunk at a time, by a thread that is one chunk ahead of the database."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import split_words
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import RowError, SkippedRow
from crm.tables import BadRow, Layout, TableRows
from crm.tenancy.models import current_tenant
from customobjects.models import FieldDefinition
from customobjects.services.uniqueness import holders, taken
from customobjects.services.values import Cleaner, cleaner_for
from leads.enums import Platform, read_priority
from leads.permissions import ASSIGN, IMPORT
from leads.selectors import Vocabulary, vocabulary
from leads.services.drafts import RECORDS, LeadDraft, normalise
from leads.services.intake import keys_of, new_lead
from leads.services.upsert import Entry, MatchBy, OnDuplicate

CHUNK_ROWS = 2000
CUSTOM, LEAVE_OUT = "custom:", "-"
# Of the name of a problem with a custom field.
OWN = "custom_fields"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What an import is told. `owner_id`, `lead_source` serve rows that name none; `tags` go to every row's lead."""

    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    match_by: MatchBy = MatchBy.ANY
    keep_existing: bool = False
    lead_source: str = ""
    tags: list[str] = field(default_factory=list)
    owner_id: int | None = None
    enrich: bool = False

    def stored(self) -> dict[str, Any]:
        return {**asdict(self), "on_duplicate": str(self.on_duplicate), "match_by": str(self.match_by)}

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "ImportOptions":
        """Back from an operation's parameters."""
        kept = {name: params[name] for name in ("keep_existing", "lead_source", "tags", "owner_id", "enrich") if name in params}
        return cls(
            on_duplicate=OnDuplicate(params.get("on_duplicate", OnDuplicate.SKIP)),
            match_by=MatchBy(params.get("match_by", MatchBy.ANY)),
            **kept,
        )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What reading a row needs to know; nothing of it is asked of the database by the thread that reads."""

    params: dict[str, Any]
    options: ImportOptions
    region: str
    people: dict[str, int]
    may_assign: bool
    cleaner: Cleaner
    words: Vocabulary
    operation_id: int | None
    by: Actor

    @cached_property
    def own_names(self) -> dict[str, str]:
        """The columns that fill custom fields: header → what the lead keeps the cell under, as received.

        That is the field's key, or else the name the mapping gives it, so that who may not see the field does not see the cell.
        """
        mapping: dict[str, str] = self.params["mapping"]
        named = {
            header: mapping.get(header, header).removeprefix(CUSTOM)[:100]
            for header in self.params["layout"]["headers"]
            if mapping.get(header, CUSTOM).startswith(CUSTOM)
        }
        fields = {header: self.cleaner.known.find(name) for header, name in named.items()}
        return {header: item.key if item is not None else named[header] for header, item in fields.items()}


@dataclass(kw_only=True)
class ChunkOfRows:
    """A chunk of a file, read and normalised, and where it ended."""

    entries: list[tuple[int, dict[str, str], Entry]] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    dropped: list[SkippedRow] = field(default_factory=list)
    offset: int = 0
    number: int = 1
    exhausted: bool = False


class _BadCell(ValueError):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


_threads: list[ThreadPoolExecutor] = []
# The chunk being read ahead: by operation, the byte it starts at and what it will be.
_ahead: dict[int, tuple[int, "Future[ChunkOfRows]"]] = {}
_lock = threading.Lock()


def take_chunk(operation: Operation, actor: Actor) -> ChunkOfRows:
    """The chunk at the operation's cursor, read ahead or now; the one after it is begun."""
    actor.require(IMPORT)
    layout = Layout(**operation.params["layout"])
    cursor = operation.cursor or {"offset": layout.start, "number": 1}
    rules = rules_of(operation, actor)
    with _lock:
        offset, future = _ahead.pop(operation.pk, (-1, None))
    read = future.result() if future is not None and offset == cursor["offset"] else _read_chunk(operation.file, layout, cursor, rules)
    if not read.exhausted:
        after = {"offset": read.offset, "number": read.number}
        with _lock:
            if not _threads:
                _threads.append(ThreadPoolExecutor(max_workers=1, thread_name_prefix="import"))
            if len(_ahead) > 8:
                _ahead.clear()
            _ahead[operation.pk] = (read.offset, _threads[0].submit(_read_chunk, operation.file, layout, after, rules))
    _refuse_taken_values(read, rules)
    return read


def rules_of(operation: Operation, actor: Actor) -> Rules:
    return Rules(
        params=operation.params,
        options=ImportOptions.read(operation.params),
        region=current_tenant().region,
        people=_people() if "owner" in operation.params["mapping"].values() else {},
        may_assign=actor.can(ASSIGN),
        cleaner=cleaner_for(model=RECORDS, by=actor),
        words=vocabulary(),
        operation_id=operation.pk,
        by=actor,
    )


def _people() -> dict[str, int]:
    """Who may own leads, by e-mail and by id."""
    users = list(User.objects.filter(is_active=True).values_list("email", "pk"))
    return {email.casefold(): pk for email, pk in users} | {str(pk): pk for _email, pk in users}


def _read_chunk(stored: Any, layout: Layout, cursor: Mapping[str, int], rules: Rules) -> ChunkOfRows:
    with stored.storage.open(stored.name, "rb") as file:
        rows = TableRows.of(file, layout, offset=cursor["offset"], number=cursor["number"])
        read = ChunkOfRows()
        edits: dict[str, dict[str, str] | None] = rules.params.get("edits", {})
        while len(read.entries) + len(read.errors) + len(read.dropped) < CHUNK_ROWS:
            row, unreadable = None, ""
            try:
                row = next(rows)
            except StopIteration:
                break
            except BadRow as error:
                unreadable = str(error)
            edit = edits.get(str(rows.number), {})
            if edit is None:
                read.dropped.append(SkippedRow(row=rows.number, message="Taken out before the import."))
                continue
            if row is None:
                read.errors.append(RowError(row=rows.number, message=unreadable))
                continue
            if len(row.cells) > len(layout.headers):
                extra = {header: cell[:500] for header, cell in zip(layout.headers, row.cells, strict=False)}
                text = f"The row has {len(row.cells)} cells under {len(layout.headers)} headers."
                read.errors.append(RowError(row=row.number, message=text, values=extra))
                continue
            values = {**{header: cell.strip() for header, cell in zip(layout.headers, row.cells, strict=False)}, **edit}
            _read_row(row.number, values, rules, read)
        read.offset, read.number, read.exhausted = rows.offset, rows.number, rows.exhausted
    return read


def _read_row(number: int, values: dict[str, str], rules: Rules, read: ChunkOfRows) -> None:
    try:
        entry = entry_of(values, rules)
        normalise(entry.draft, region=rules.region, strict=True, cleaner=rules.cleaner)
        # Made here, so that the database does not wait for it. What only a new lead must have is asked when it becomes one.
        made = None
        if not entry.draft.missing:
            made = new_lead(draft=entry.draft, words=rules.words, now=timezone.now(), operation_id=rules.operation_id, by=rules.by)
    except _BadCell as error:
        read.errors.append(RowError(row=number, field=error.field, message=str(error), values=values))
    except InvalidInput as refusal:
        name, texts = next(iter(refusal.problems.items()))
        read.errors.append(RowError(row=number, field=_code_of(name, rules), message=texts[0], values=values))
    else:
        if entry.draft.missing:
            entry.draft.missing = _coded(entry.draft.missing, rules)
        read.entries.append((number, values, replace(entry, made=made)))


def _code_of(name: str, rules: Rules) -> str:
    """What the mapping calls the field of a problem."""
    if not name.startswith(f"{OWN}."):
        return name
    key = name.removeprefix(f"{OWN}.")
    codes = (code for code in rules.params["mapping"].values() if code.startswith(CUSTOM))
    found = ((code, rules.cleaner.known.find(code.removeprefix(CUSTOM))) for code in codes)
    return next((code for code, item in found if item is not None and item.key == key), name)


def _refuse_taken_values(read: ChunkOfRows, rules: Rules) -> None:
    """Find the rows whose unique values another lead holds, or another row wants for another lead."""
    unique = [item for item in rules.cleaner.known.active if item.unique]
    if not unique:
        return
    wanted = [(place, item) for place, (_, _, entry) in enumerate(read.entries) for item in unique if item.key in entry.draft.custom_fields]
    values = [(item, read.entries[place][2].draft.custom_fields[item.key]) for place, item in wanted]
    seen: dict[tuple[int, str], tuple[int, set[str]]] = {}
    repeated: dict[int, RowError] = {}
    for (place, item), (_, value), holder in zip(wanted, values, holders(model=RECORDS, values=values), strict=True):
        number, cells, entry = read.entries[place]
        if holder is not None:
            # It may be this very lead; only a new one cannot be.
            entry.draft.missing = {**entry.draft.missing, **_coded(taken(item), rules)}
        first, known_by = seen.setdefault((item.pk, str(value).lower()), (number, _identity(entry, rules)))
        if first != number and (rules.options.on_duplicate == OnDuplicate.CREATE or not known_by & _identity(entry, rules)):
            repeated[place] = _repeats(item, first, number, cells, rules)
    read.errors.extend(repeated.values())
    read.entries = [entry for place, entry in enumerate(read.entries) if place not in repeated]


def _identity(entry: Entry, rules: Rules) -> set[str]:
    return {f"#{entry.lead_id}"} if rules.options.match_by == MatchBy.ID else keys_of(entry.draft)


def _repeats(item: FieldDefinition, first: int, number: int, cells: dict[str, str], rules: Rules) -> RowError:
    text = f"Row {first} has this “{item.label}” already."
    return RowError(row=number, field=_code_of(item.problem_name, rules), message=text, values=cells)


def _coded(problems: Mapping[str, list[str]], rules: Rules) -> dict[str, list[str]]:
    return {_code_of(name, rules): texts for name, texts in problems.items()}


def row_problem(number: int, values: dict[str, str], rules: Rules) -> RowError | None:
    """What is wrong with a row in itself, whatever leads are there."""
    read = ChunkOfRows()
    _read_row(number, values, rules, read)
    return read.errors[0] if read.errors else None


def entry_of(values: dict[str, str], rules: Rules) -> Entry:
    """A row's cells as a draft. Raises _BadCell."""
    mapping: dict[str, str] = rules.params["mapping"]
    fields = {name: text for header, name in mapping.items() if name != LEAVE_OUT and (text := values.get(header, ""))}
    custom = {
        (mapping[header].removeprefix(CUSTOM) if header in mapping else header)[:100]: text[:5_000]
        for header, text in values.items()
        if text and (header not in mapping or mapping[header].startswith(CUSTOM))
    }
    fields = {name: text for name, text in fields.items() if not name.startswith(CUSTOM)}
    given = frozenset(fields)
    draft = LeadDraft(
        platform_key=Platform.IMPORT,
        lead_source=fields.pop("lead_source", "") or rules.options.lead_source,
        tags=[*split_words(fields.pop("tags", "").replace(";", ",")), *rules.options.tags],
        custom_fields=custom,
        raw_field_data=_as_received(values, rules),
        owner_id=rules.options.owner_id,
    )
    lead_id = _whole("id", fields.pop("id", ""))
    if "priority" in fields:
        draft.priority = _read("priority", lambda: read_priority(fields["priority"]))
        del fields["priority"]
    owner = fields.pop("owner", "").casefold()
    if owner:
        draft.owner_id = _owner(owner, rules)
    for name in ("created_at", "next_follow_up_at"):
        text = fields.pop(name, "")
        if text:
            setattr(draft, name, _read(name, lambda text=text: _moment(text)))
    for name, text in fields.items():
        setattr(draft, name, text)
    if "name" in given:
        given |= {"first_name", "last_name"}
    return Entry(draft=draft, given=given, lead_id=lead_id)


def _as_received(values: dict[str, str], rules: Rules) -> dict[str, str]:
    """The cells by their headers, those of custom fields by the fields' names, which count where both are the same."""
    own = rules.own_names
    if not own:
        return values
    others = {header: text for header, text in values.items() if header not in own}
    return {**others, **{name: values[header] for header, name in own.items() if header in values}}


def _owner(address: str, rules: Rules) -> int:
    if address not in rules.people:
        raise _BadCell("owner", "No active user has this e-mail or id.")
    if not rules.may_assign and rules.people[address] != rules.by.user_id:
        raise _BadCell("owner", "You may not give leads to others.")
    return rules.people[address]


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _BadCell(name, "Must be a number.")
    return int(text)


def _read(name: str, read: Any) -> Any:
    try:
        return read()
    except ValueError as error:
        raise _BadCell(name, str(error)) from None


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text.replace(" UTC", "Z"))
        day = parse_date(text) if moment is None else None
    except ValueError:
        moment = day = None
    if moment is None and day is not None:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if moment is None:
        raise ValueError("Must be a date such as 2024-01-31 or 2024-01-31T09:00:00Z.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
