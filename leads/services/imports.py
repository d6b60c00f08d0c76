"""Import leads from a table, as an operation: one engine for the wizard, the API, the command line and the JSON list.

A chunk is read and normalised by a thread while the database writes the chunk before it; the writing is set-wise. Each chunk
commits with the byte it ended at, so that a killed worker's import goes on exactly there.
"""

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import orjson
from django.core.files import File

from crm.actors import Actor, Door
from crm.errors import InvalidInput
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import release_draft, start_operation
from crm.tables import MOST_COLUMNS, Layout, distinct, open_table
from leads.models import ImportMapping
from leads.permissions import ASSIGN, IMPORT
from leads.services import import_rows
from leads.services.field_names import FIELDS, field_named
from leads.services.import_rows import CUSTOM, LEAVE_OUT, ChunkOfRows, ImportOptions, take_chunk
from leads.services.intake import keys_of
from leads.services.upsert import MatchBy, OnDuplicate, Outcome, Plan, Result, upsert_leads

KIND, CHECK_KIND = "leads.import", "leads.import_check"
# A check reads no further: what it found in so many rows is worth acting on.
MOST_CHECKED = 200_000
MOST_EDITS = 2000
_IDENTIFYING = {"id", "name", "first_name", "last_name", "email", "phone", "company"}


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


def draft_import(*, file: "File[bytes]", sheet: str = "", by: Actor) -> Operation:
    """Store a file as an import that is still being put together; of a workbook the named sheet, or the first.

    Raises UnreadableFile.
    """
    by.require(IMPORT)
    table, layout = open_table(file, sheet=sheet.strip())
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


_OWN = "custom_fields."
# Keys of a JSON list that are a field under another name.
_KEYS = {"assigned_to": "owner", "assigned_user_id": "owner", "next_follow_up": "next_follow_up_at"}


def import_list(*, rows: Sequence[Mapping[str, Any]], options: ImportOptions, title: str, by: Actor) -> Operation:
    """Import a list of objects as a table is imported. Keys that are no field become fields of one's own.

    Raises InvalidInput for what `configure_import` does.
    """
    by.require(IMPORT)
    rows = [_unfolded(row) for row in rows]
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
    known |= {header: CUSTOM + header.removeprefix(_OWN) for header in headers if header.startswith(_OWN) and header != _OWN}
    configure_import(operation=operation, mapping={"#": LEAVE_OUT, **known}, options=options, by=by)
    return release_draft(operation=operation, by=by)


def _unfolded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A lead as the API takes one, with its address and its further fields as keys of their own."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key in ("custom_fields", "customFields") and isinstance(value, Mapping):
            flat |= {f"{_OWN}{name}": item for name, item in value.items()}
        elif key == "address" and isinstance(value, Mapping):
            flat |= {name: value[name] for name in ("city", "state", "country") if name in value}
        else:
            flat[key] = value
    return flat


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


def import_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Import the next rows after the operation's cursor, in the runner's transaction."""
    read = take_chunk(operation, actor)
    options = ImportOptions.read(operation.params)
    plan = Plan(
        on_duplicate=options.on_duplicate,
        match_by=options.match_by,
        keep_existing=options.keep_existing,
        operation_id=operation.pk,
        enrich=options.enrich,
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
    read = take_chunk(operation, actor)
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
    if operation.done + import_rows.CHUNK_ROWS >= MOST_CHECKED and not chunk.finished:
        chunk.finished = True
        chunk.result["partial"] = True
    if chunk.finished:
        _checked.pop(operation.pk, None)
    return chunk


def _begin_anew(operation: Operation) -> None:
    operation.cursor = {}
    operation.done = operation.created = operation.updated = operation.skipped = operation.failed = 0
    operation.rows.all().delete()


def _tally(operation: Operation, read: ChunkOfRows, outcomes: list[Outcome]) -> Chunk:
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
