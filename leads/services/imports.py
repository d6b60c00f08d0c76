"""Import leads from a table, as an operation: one engine for the wizard, the API, the command line and the JSON list.

A chunk is read and normalised by a thread while the database writes the chunk before it; the writing is set-wise. Each chunk
commits with the byte it ended at, so that a killed worker's import goes on exactly there.
"""

import csv
import io
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

import orjson
from django.core.files import File
from django.utils.dateparse import parse_date, parse_datetime

from crm.actors import Actor, Door
from crm.errors import InvalidInput
from crm.filters import split_words
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import release_draft, start_operation
from crm.tables import MOST_COLUMNS, BadRow, Layout, TableRows, distinct, open_table
from crm.tenancy.models import current_tenant
from leads.enums import Platform, read_priority
from leads.models import ImportMapping
from leads.permissions import ASSIGN, IMPORT
from leads.services.drafts import LeadDraft, normalise
from leads.services.field_names import FIELDS, field_named
from leads.services.intake import keys_of
from leads.services.upsert import Entry, MatchBy, OnDuplicate, Outcome, Plan, Result, upsert_leads

KIND, CHECK_KIND = "leads.import", "leads.import_check"
CHUNK_ROWS = 2000
# A check reads no further: what it found in so many rows is worth acting on.
MOST_CHECKED = 200_000
MOST_EDITS = 2000
CUSTOM, LEAVE_OUT = "custom:", "-"
_IDENTIFYING = {"id", "name", "first_name", "last_name", "email", "phone", "company"}


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What an import is told. `owner_id`, `lead_source` serve rows that name none; `tags` go to every row's lead."""

    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    match_by: MatchBy = MatchBy.ANY
    keep_existing: bool = False
    lead_source: str = ""
    tags: list[str] = field(default_factory=list)
    owner_id: int | None = None

    def stored(self) -> dict[str, Any]:
        return {**asdict(self), "on_duplicate": str(self.on_duplicate), "match_by": str(self.match_by)}

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "ImportOptions":
        """Back from an operation's parameters."""
        kept = {name: params[name] for name in ("keep_existing", "lead_source", "tags", "owner_id") if name in params}
        return cls(
            on_duplicate=OnDuplicate(params.get("on_duplicate", OnDuplicate.SKIP)),
            match_by=MatchBy(params.get("match_by", MatchBy.ANY)),
            **kept,
        )


def guessed_mapping(layout: Layout) -> dict[str, str]:
    """Header → field: as the last file with these headers was mapped, else by the headers' usual names, each field once.

    A header that is not in it becomes a field of one's own.
    """
    saved = ImportMapping.objects.filter(fingerprint=layout.fingerprint).values_list("mapping", flat=True).first()
    if saved is not None:
        return {header: name for header, name in saved.items() if header in layout.headers}
    taken: set[str] = set()
    chosen = {}
    for header in layout.headers:
        name = field_named(header)
        if name and name not in taken:
            chosen[header] = name
            taken.add(name)
    return chosen


def draft_import(*, file: "File[bytes]", by: Actor) -> Operation:
    """Store a file as an import that is still being put together. Raises UnreadableFile."""
    by.require(IMPORT)
    table, layout = open_table(file)
    name = (file.name or "leads.csv").rsplit("/", 1)[-1]
    try:
        # What was rewritten is CSV now, whatever it was called.
        return _store(table, layout, name=name, stored_as=name if table is file else f"{name.rsplit('.', 1)[0]}.csv", by=by)
    finally:
        if table is not file:
            table.close()


def _store(table: IO[bytes], layout: Layout, *, name: str, stored_as: str, by: Actor) -> Operation:
    table.seek(0)
    params = {"layout": layout.stored(), "mapping": guessed_mapping(layout), "edits": {}, **ImportOptions().stored()}
    return start_operation(
        kind=KIND, title=f"Import of {name}", params=params, file=File(table, name=stored_as), draft=True, by=by.through(Door.IMPORT)
    )


def configure_import(
    *,
    operation: Operation,
    mapping: Mapping[str, str] | None = None,
    options: ImportOptions | None = None,
    edits: Mapping[str, dict[str, str] | None] | None = None,
    by: Actor,
) -> Operation:
    """Set parts of a draft: `mapping` is header → field, `custom:<name>` or `-`; `edits` is row number → cells, or None to drop it.

    Raises InvalidInput for an unknown field, owner, too many edits, or a mapping without anything to know a lead by.
    """
    by.require(IMPORT)
    layout = Layout(**operation.params["layout"])
    params = dict(operation.params)
    if mapping is not None:
        params["mapping"] = _checked_mapping(mapping, layout)
    if options is not None:
        params.update(_checked_options(options, by=by).stored())
    if edits is not None:
        if len(edits) > MOST_EDITS:
            raise InvalidInput({"edits": [f"At most {MOST_EDITS:,} rows can be mended here; mend the file instead."]})
        params["edits"] = dict(edits)
    if params["match_by"] == MatchBy.ID and "id" not in params["mapping"].values():
        raise InvalidInput({"match_by": ["No column holds the leads' ids."]})
    operation.params = params
    operation.save(update_fields=["params"])
    return operation


def _checked_mapping(mapping: Mapping[str, str], layout: Layout) -> dict[str, str]:
    chosen = {header: name for header, name in mapping.items() if name and header in layout.headers}
    fields = [name for name in chosen.values() if name != LEAVE_OUT]
    problems = [
        f"Unknown field: {name[:80]}."
        for name in sorted(set(fields) - set(FIELDS))
        if not (name.startswith(CUSTOM) and 1 <= len(name) - len(CUSTOM) <= 100)
    ]
    problems += [f"Two columns fill {name}." for name in sorted({name for name in fields if fields.count(name) > 1})]
    if problems:
        raise InvalidInput({"mapping": problems})
    if not _IDENTIFYING & set(fields):
        raise InvalidInput({"mapping": ["No column holds a name, e-mail, phone or company."]})
    return chosen


def _checked_options(options: ImportOptions, *, by: Actor) -> ImportOptions:
    if options.owner_id is not None:
        if options.owner_id != by.user_id:
            by.require(ASSIGN)
        if not User.objects.filter(pk=options.owner_id, is_active=True).exists():
            raise InvalidInput({"owner": ["No such active user."]})
    return options


def run_import(*, operation: Operation, by: Actor) -> Operation:
    """Start a draft, and remember its mapping for the next file with the same headers."""
    by.require(IMPORT)
    mapping = _checked_mapping(operation.params["mapping"], Layout(**operation.params["layout"]))
    ImportMapping.objects.update_or_create(fingerprint=Layout(**operation.params["layout"]).fingerprint, defaults={"mapping": mapping})
    return release_draft(operation=operation, by=by)


def start_import(
    *, file: "File[bytes]", mapping: Mapping[str, str] | None = None, options: ImportOptions | None = None, by: Actor
) -> Operation:
    """Store the file and start its import at once. Without a mapping the last one, or the headers' usual names, decide.

    Raises UnreadableFile, or InvalidInput as `configure_import` does.
    """
    operation = draft_import(file=file, by=by)
    configure_import(operation=operation, mapping=mapping or operation.params["mapping"], options=options, by=by)
    return run_import(operation=operation, by=by)


# Keys of a JSON list that are a field under another name.
_KEYS = {"assigned_to": "owner", "assigned_user_id": "owner", "next_follow_up": "next_follow_up_at"}


def import_list(*, rows: Sequence[Mapping[str, Any]], options: ImportOptions, title: str, by: Actor) -> Operation:
    """Import a list of objects as a table is imported. Keys that are no field become fields of one's own.

    Raises InvalidInput for what `configure_import` does.
    """
    by.require(IMPORT)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if len(keys) >= MOST_COLUMNS:
        raise InvalidInput({"leads": [f"The leads have {len(keys):,} different keys; at most {MOST_COLUMNS - 1} are read."]})
    # The first column numbers the rows, so that none is blank, which a table leaves out.
    headers = distinct(["#", *(key.strip() for key in keys)])
    with tempfile.TemporaryFile(suffix=".csv") as table:
        text = io.TextIOWrapper(table, encoding="utf-8", errors="replace", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(headers)
        start = table.tell()
        writer.writerows([number, *(_cell(row.get(key)) for key in keys)] for number, row in enumerate(rows))
        text.detach()
        layout = Layout(encoding="utf-8", delimiter=",", headers=headers, start=start)
        operation = _store(table, layout, name=title, stored_as=f"{title}.csv", by=by)
    known = {header: name for header in headers if (name := _KEYS.get(header, header)) in FIELDS}
    configure_import(operation=operation, mapping={"#": LEAVE_OUT, **known}, options=options, by=by)
    return release_draft(operation=operation, by=by)


def _cell(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def check_import(*, operation: Operation, by: Actor) -> Operation:
    """Start a dry run of a draft: an operation with the totals it would come to and the rows that would fail. Nothing is written."""
    by.require(IMPORT)
    params = {**operation.params, "import": operation.pk}
    check = start_operation(kind=CHECK_KIND, title=f"Check of {operation.title}", params=params, draft=True, by=by.through(Door.IMPORT))
    check.file.name = operation.file.name
    check.save(update_fields=["file"])
    return release_draft(operation=check, by=by)


# --- the next chunk ---


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What reading a row needs to know; nothing of it is asked of the database by the thread that reads."""

    params: dict[str, Any]
    options: ImportOptions
    region: str
    people: dict[str, int]
    may_assign: bool
    user_id: int | None


@dataclass(kw_only=True)
class _Read:
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
_ahead: dict[int, tuple[int, "Future[_Read]"]] = {}
_lock = threading.Lock()


def import_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Import the next rows after the operation's cursor, in the runner's transaction."""
    read = _take(operation, actor)
    options = ImportOptions.read(operation.params)
    plan = Plan(
        on_duplicate=options.on_duplicate, match_by=options.match_by, keep_existing=options.keep_existing, operation_id=operation.pk
    )
    outcomes = upsert_leads(entries=[entry for _, _, entry in read.entries], plan=plan, by=actor)
    return _tally(operation, read, outcomes)


# The keys of the leads that a check would have made so far. A check that changes process begins anew.
_checked: dict[int, set[int]] = {}


def check_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Find out what the next rows would come to."""
    if operation.cursor and operation.pk not in _checked:
        _begin_anew(operation)
    seen = _checked.setdefault(operation.pk, set())
    read = _take(operation, actor)
    options = ImportOptions.read(operation.params)
    plan = Plan(on_duplicate=options.on_duplicate, match_by=options.match_by, keep_existing=options.keep_existing, dry_run=True)
    outcomes = upsert_leads(entries=[entry for _, _, entry in read.entries], plan=plan, by=actor)
    for (_number, _values, entry), outcome in zip(read.entries, outcomes, strict=True):
        keys = {hash(key) for key in keys_of(entry.draft)} if options.match_by != MatchBy.ID else set()
        if outcome.result == Result.CREATED and options.on_duplicate != OnDuplicate.CREATE and keys & seen:
            outcome.lead = None
            outcome.result = Result.UPDATED if plan.updates else Result.SKIPPED
            outcome.message = "A lead with this e-mail or phone is there in this file."
            if options.on_duplicate == OnDuplicate.REFUSE:
                outcome.result, outcome.problems = Result.FAILED, {"email": ["A lead with this e-mail or phone already exists."]}
        elif outcome.result == Result.CREATED:
            seen |= keys
    chunk = _tally(operation, read, outcomes)
    if operation.done + CHUNK_ROWS >= MOST_CHECKED and not chunk.finished:
        chunk.finished = True
        chunk.result["partial"] = True
    if chunk.finished:
        _checked.pop(operation.pk, None)
    return chunk


def _begin_anew(operation: Operation) -> None:
    operation.cursor = {}
    operation.done = operation.created = operation.updated = operation.skipped = operation.failed = 0
    operation.rows.all().delete()


def _take(operation: Operation, actor: Actor) -> _Read:
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
    return read


def rules_of(operation: Operation, actor: Actor) -> Rules:
    return Rules(
        params=operation.params,
        options=ImportOptions.read(operation.params),
        region=current_tenant().region,
        people=_people() if "owner" in operation.params["mapping"].values() else {},
        may_assign=actor.can(ASSIGN),
        user_id=actor.user_id,
    )


def _people() -> dict[str, int]:
    """Who may own leads, by e-mail and by id."""
    users = list(User.objects.filter(is_active=True).values_list("email", "pk"))
    return {email.casefold(): pk for email, pk in users} | {str(pk): pk for _email, pk in users}


def _read_chunk(stored: Any, layout: Layout, cursor: Mapping[str, int], rules: Rules) -> _Read:
    with stored.storage.open(stored.name, "rb") as file:
        rows = TableRows.of(file, layout, offset=cursor["offset"], number=cursor["number"])
        read = _Read()
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


def _read_row(number: int, values: dict[str, str], rules: Rules, read: _Read) -> None:
    try:
        entry = entry_of(values, rules)
        normalise(entry.draft, region=rules.region, strict=True)
    except _BadCell as error:
        read.errors.append(RowError(row=number, field=error.field, message=str(error), values=values))
    except InvalidInput as refusal:
        name, texts = next(iter(refusal.problems.items()))
        read.errors.append(RowError(row=number, field=name, message=texts[0], values=values))
    else:
        read.entries.append((number, values, entry))


def row_problem(number: int, values: dict[str, str], rules: Rules) -> RowError | None:
    """What is wrong with a row in itself, whatever leads are there."""
    read = _Read()
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
        raw_field_data=values,
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


def _owner(address: str, rules: Rules) -> int:
    if address not in rules.people:
        raise _BadCell("owner", "No active user has this e-mail or id.")
    if not rules.may_assign and rules.people[address] != rules.user_id:
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


def _tally(operation: Operation, read: _Read, outcomes: list[Outcome]) -> Chunk:
    """What the chunk came to, every row counted once."""
    errors, skipped = list(read.errors), list(read.dropped)
    counts = dict.fromkeys(Result, 0)
    for (number, values, _entry), outcome in zip(read.entries, outcomes, strict=True):
        counts[outcome.result] += 1
        if outcome.result == Result.SKIPPED:
            skipped.append(SkippedRow(row=number, message=outcome.message, record_id=outcome.lead_id))
        elif outcome.result == Result.FAILED:
            name, texts = next(iter(outcome.problems.items()), ("", ["Refused."]))
            errors.append(RowError(row=number, field=name, message=texts[0], values=values))
    start = operation.params["layout"]["start"]
    done = operation.done + len(read.entries) + len(read.errors) + len(read.dropped)
    passed = read.offset - start
    return Chunk(
        cursor={"offset": read.offset, "number": read.number},
        finished=read.exhausted,
        # Until the end is reached the number of rows is an estimate from the bytes read.
        total=done if read.exhausted or not passed else max(done, round(done * (operation.file.size - start) / passed)),
        created=counts[Result.CREATED],
        updated=counts[Result.UPDATED],
        skipped=counts[Result.SKIPPED] + len(read.dropped),
        errors=sorted(errors, key=lambda error: error.row),
        skipped_rows=skipped,
    )


def links(operation: Operation) -> dict[str, str]:
    """The pages that show what an import made, changed and met."""
    return {"created": f"/leads?operation={operation.pk}", "updated": f"/leads?changed_by={operation.pk}", "record": "/leads/"}
