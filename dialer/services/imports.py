"""Import a table into an agent's queue, or onto a do-not-call list, as an operation a chunk of rows at a time.

Files are read by the product's one reader of tables; leads are found and made by the engine of all imports.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

from django.core.files import File
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.actors import Actor, Door
from crm.errors import InvalidInput
from crm.normal import clean_text, e164, is_plausible
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError
from crm.operations.services import start_operation
from crm.tables import BadRow, Layout, TableRows, open_table
from crm.tenancy.models import current_tenant
from dialer.errors import KnownNumber, NoSuchAgent
from dialer.models import CallingAgent
from dialer.permissions import MANAGE
from dialer.services.do_not_call import list_numbers
from dialer.services.entries import MOST_NAME, EntryDraft, clean_fields, queue_drafts
from leads.services.field_names import field_named

KIND, DNC_KIND = "dialer.import", "dialer.dnc_import"
CHUNK_ROWS = 2000
NOTHING_BUT = "The file has no column “{name}”."
_PLAN = "schedule at"


def start_import(*, file: "File[bytes]", agent: CallingAgent, by: Actor) -> Operation:
    """Store a file of people to be called and start its import. Raises UnreadableFile, InvalidInput by `file`.

    The columns first_name and phone are needed; schedule_at is read where it is there, and all others become further fields.
    """
    by.require(MANAGE)
    return _store(file, kind=KIND, needed=("first_name", "phone"), params={"agent": agent.pk}, title="Calling list", by=by)


def start_dnc_import(*, file: "File[bytes]", agent: CallingAgent | None = None, by: Actor) -> Operation:
    """Store a file of numbers that must not be called, and start its import. A column `until` may hold a day, `reason` a text."""
    by.require(MANAGE)
    params = {"agent": agent.pk if agent else None}
    return _store(file, kind=DNC_KIND, needed=("phone",), params=params, title="Do-not-call list", by=by)


def _store(file: "File[bytes]", *, kind: str, needed: tuple[str, ...], params: dict[str, Any], title: str, by: Actor) -> Operation:
    table, layout = open_table(file)
    try:
        columns = _columns(layout)
        lost = [name for name in needed if name not in columns.values()]
        if lost:
            raise InvalidInput({"file": [NOTHING_BUT.format(name=name) for name in lost]})
        name = (file.name or "list.csv").rsplit("/", 1)[-1]
        stored_as = name if table is file else f"{name.rsplit('.', 1)[0]}.csv"
        table.seek(0)
        return start_operation(
            kind=kind,
            title=f"{title}: {name}",
            params={**params, "layout": layout.stored(), "columns": columns},
            file=File(table, name=stored_as),
            by=by.through(Door.IMPORT),
        )
    finally:
        if table is not file:
            table.close()


def _columns(layout: Layout) -> dict[str, str]:
    """What the headers mean that mean something here, each once; the plain name before all its other ones."""
    columns: dict[str, str] = {}
    for header in sorted(layout.headers, key=lambda header: header.strip().casefold() not in ("first_name", "phone", "schedule_at")):
        name = _meaning(header)
        if name and name not in columns.values():
            columns[header] = name
    return columns


def _meaning(header: str) -> str:
    words = " ".join(header.casefold().replace("_", " ").split())
    if words in (_PLAN, "until", "reason"):
        return words.replace(" ", "_")
    named = field_named(header)
    return named if named in ("first_name", "phone") else ""


def has_more_rows_than(operation: Operation, most: int) -> bool:
    """Whether a stored file has more rows than can be answered at once."""
    with operation.file.storage.open(str(operation.file.name), "rb") as file:
        rows = TableRows.of(file, Layout(**operation.params["layout"]))
        return sum(1 for _ in islice(_each(rows), most + 1)) > most


def _each(rows: TableRows) -> Iterator[Any]:
    while True:
        try:
            yield next(rows)
        except BadRow:
            yield None
        except StopIteration:
            return


# --- the next chunk ---


@dataclass(kw_only=True)
class _Read:
    """Rows of a chunk: cells by what their columns mean, and the rest by header."""

    rows: list[tuple[int, dict[str, str], dict[str, str]]] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    offset: int = 0
    number: int = 1
    exhausted: bool = False


def _read_chunk(operation: Operation) -> _Read:
    layout = Layout(**operation.params["layout"])
    columns: Mapping[str, str] = operation.params["columns"]
    cursor = operation.cursor or {"offset": layout.start, "number": 1}
    read = _Read()
    with operation.file.storage.open(str(operation.file.name), "rb") as file:
        rows = TableRows.of(file, layout, offset=cursor["offset"], number=cursor["number"])
        while len(read.rows) + len(read.errors) < CHUNK_ROWS:
            try:
                row = next(rows)
            except StopIteration:
                break
            except BadRow as error:
                read.errors.append(RowError(row=rows.number, message=str(error)))
                continue
            cells = {header: cell.strip() for header, cell in zip(layout.headers, row.cells, strict=False)}
            if any(cell.strip() for cell in row.cells[len(layout.headers) :]):
                text = f"The row has {len(row.cells)} cells under {len(layout.headers)} headers."
                read.errors.append(RowError(row=row.number, message=text, values=cells))
                continue
            known = {columns[header]: text for header, text in cells.items() if header in columns}
            read.rows.append((row.number, known, {header: text for header, text in cells.items() if header not in columns}))
        read.offset, read.number, read.exhausted = rows.offset, rows.number, rows.exhausted
    return read


def import_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Put the next rows into the queue, in the runner's transaction."""
    actor.require(MANAGE)
    agent = CallingAgent.objects.filter(pk=operation.params["agent"], deleted_at=None).first()
    if agent is None:
        raise NoSuchAgent
    read, region = _read_chunk(operation), current_tenant().region
    errors, drafts = list(read.errors), []
    for number, known, others in read.rows:
        try:
            drafts.append(_draft(number, known, others, region))
        except ValueError as error:
            errors.append(RowError(row=number, message=str(error), values={**known, **others}))
    queued = queue_drafts(agent=agent, drafts=drafts, operation_id=operation.pk, now=timezone.now(), by=actor)
    errors += [_refused(draft, KnownNumber().message) for draft in queued.known]
    errors += [_refused(draft, text) for draft, text in queued.refused]
    return _chunk(operation, read, created=len(queued.made), errors=errors)


def _draft(number: int, known: Mapping[str, str], others: Mapping[str, str], region: str) -> EntryDraft:
    """A row as a draft. Raises ValueError with a sentence for its sender."""
    typed = clean_text(known["phone"])
    if not typed:
        raise ValueError("Phone number is required")
    phone = e164(typed, region=region)
    if phone is None:
        raise ValueError(f"Invalid phone number format: {typed}")
    first_name = clean_text(known["first_name"])
    if not first_name:
        raise ValueError("First name is required")
    if len(first_name) > MOST_NAME:
        raise ValueError(f"First name is longer than {MOST_NAME} characters")
    # What an import into queues gives no meaning to is kept like any other column.
    own = {**others, **{name: known[name] for name in ("until", "reason") if known.get(name)}}
    fields = clean_fields({header: text[:5000] for header, text in own.items() if text})
    return EntryDraft(
        first_name=first_name,
        phone=phone,
        custom_fields=fields,
        schedule_at=_moment(known.get("schedule_at", "")),
        key=(number, known, others),
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = parse_datetime(text.replace(" UTC", "Z"))
        day = parse_date(text) if at is None else None
    except ValueError:
        at = day = None
    if day is not None:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if at is None or not is_plausible(at):
        raise ValueError(f"Invalid schedule_at: {text[:60]}")
    return at


def _refused(draft: EntryDraft, text: str) -> RowError:
    number, known, others = draft.key
    return RowError(row=number, message=text, values={**known, **others})


def dnc_chunk(operation: Operation, actor: Actor) -> Chunk:
    """List the next rows' numbers."""
    actor.require(MANAGE)
    read, region = _read_chunk(operation), current_tenant().region
    errors, numbers = list(read.errors), []
    for number, known, others in read.rows:
        typed = clean_text(known["phone"])
        phone = e164(typed, region=region) if typed else None
        try:
            until = _day(known.get("until", ""))
            if phone is None:
                raise ValueError(f"Invalid phone number format: {typed}" if typed else "Phone number is required")
            numbers.append((phone, until, known.get("reason", "")))
        except ValueError as error:
            errors.append(RowError(row=number, message=str(error), values={**known, **others}))
    created, updated = list_numbers(
        numbers=numbers, agent_id=operation.params["agent"], operation_id=operation.pk, now=timezone.now(), by=actor
    )
    chunk = _chunk(operation, read, created=created, errors=errors)
    chunk.updated, chunk.skipped = updated, len(numbers) - created - updated
    return chunk


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = parse_date(text[:10])
    except ValueError:
        day = None
    if day is None:
        raise ValueError(f"Invalid day: {text[:60]}")
    return day


def _chunk(operation: Operation, read: _Read, *, created: int, errors: list[RowError]) -> Chunk:
    start = operation.params["layout"]["start"]
    done = operation.done + len(read.rows) + len(read.errors)
    passed = read.offset - start
    return Chunk(
        cursor={"offset": read.offset, "number": read.number},
        finished=read.exhausted,
        # Until the end is reached the number of rows is an estimate from the bytes read.
        total=done if read.exhausted or not passed else max(done, round(done * (operation.file.size - start) / passed)),
        created=created,
        errors=sorted(errors, key=lambda error: error.row),
    )
