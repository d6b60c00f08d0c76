"""Import leads from a CSV file, streamed, as an operation that resumes where the last commit was."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from django.core.files import File
from django.utils.dateparse import parse_date, parse_datetime

from crm.actors import Actor, Door
from crm.errors import DomainError, InvalidInput
from crm.filters import split_words
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError
from crm.operations.services import start_operation
from leads.enums import Platform, read_priority
from leads.permissions import ASSIGN, IMPORT
from leads.services.drafts import LeadDraft
from leads.services.field_names import FIELDS, field_named
from leads.services.intake import OnDuplicate, Outcome, capture_leads

KIND = "leads.import"
CHUNK_ROWS = 1000
MOST_COLUMNS = 500
MOST_LINE = 1_000_000
SAMPLES = 3
_HEAD = 64 * 1024


class UnreadableFile(DomainError):
    """The file is no CSV we can read; the sentence says why."""

    code = "UNREADABLE_FILE"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message, field="file")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is written, read off its beginning."""

    encoding: str
    delimiter: str
    headers: list[str]
    samples: list[list[str]]
    # Bytes before the first data row.
    start: int

    def mapping(self) -> dict[str, str]:
        """Header → field, by the headers' usual names, each field once. A header that is not in it becomes a field of one's own."""
        taken: set[str] = set()
        chosen = {}
        for header in self.headers:
            name = field_named(header)
            if name and name not in taken:
                chosen[header] = name
                taken.add(name)
        return chosen


def read_layout(file: IO[bytes]) -> Layout:
    """Find encoding, delimiter and headers. Raises UnreadableFile for what is no table of text."""
    file.seek(0)
    head = file.read(_HEAD)
    encoding = _encoding_of(head)
    text = head.decode(encoding, errors="replace")
    if not text.strip():
        raise UnreadableFile("The file is empty.")
    if "\x00" in text[:4096]:
        raise UnreadableFile("This is not a CSV file. Save the sheet as CSV (UTF-8) and try again.")
    delimiter = _delimiter_of(text)
    reader = _Rows(file, encoding=encoding, delimiter=delimiter, start=0)
    try:
        headers = [header.strip() for header in next(reader)]
        start = reader.offset
        samples = [row for row, _ in zip(reader, range(SAMPLES), strict=False)]
    except StopIteration:
        raise UnreadableFile("The file has no header row.") from None
    except csv.Error as error:
        raise UnreadableFile(f"The file cannot be read as CSV: {error}.") from None
    if len(headers) > MOST_COLUMNS:
        raise UnreadableFile(f"The file has {len(headers)} columns; at most {MOST_COLUMNS} are read.")
    if not any(headers):
        raise UnreadableFile("The first row must name the columns.")
    return Layout(encoding=encoding, delimiter=delimiter, headers=_distinct(headers), samples=samples, start=start)


def start_import(
    *,
    file: "File[bytes]",
    mapping: dict[str, str] | None = None,
    on_duplicate: OnDuplicate = OnDuplicate.SKIP,
    lead_source: str = "",
    tags: list[str] | None = None,
    owner_id: int | None = None,
    by: Actor,
) -> Operation:
    """Store the file and start the import. `mapping` is header → field; without one the headers' usual names decide.

    Raises UnreadableFile, or InvalidInput for an unknown field, owner or a mapping without anything to know a lead by.
    """
    by.require(IMPORT)
    layout = read_layout(file)
    chosen = (
        layout.mapping() if mapping is None else {header: name for header, name in mapping.items() if name and header in layout.headers}
    )
    unknown = sorted(set(chosen.values()) - set(FIELDS) - {"-"})
    if unknown:
        raise InvalidInput({"mapping": [f"Unknown field: {name}." for name in unknown]})
    if not {"name", "first_name", "last_name", "email", "phone", "company"} & set(chosen.values()):
        raise InvalidInput({"mapping": ["No column holds a name, e-mail, phone or company."]})
    if owner_id is not None and not User.objects.filter(pk=owner_id, is_active=True).exists():
        raise InvalidInput({"owner": ["No such active user."]})
    params = {
        "layout": {"encoding": layout.encoding, "delimiter": layout.delimiter, "headers": layout.headers, "start": layout.start},
        "mapping": chosen,
        "on_duplicate": str(on_duplicate),
        "lead_source": lead_source,
        "tags": tags or [],
        "owner_id": owner_id,
    }
    file.seek(0)
    name = (file.name or "leads.csv").rsplit("/", 1)[-1]
    return start_operation(kind=KIND, title=f"Import of {name}", params=params, file=file, by=by.through(Door.IMPORT))


def import_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Import the next rows after the operation's cursor, in the runner's transaction."""
    actor.require(IMPORT)
    layout = operation.params["layout"]
    cursor = operation.cursor or {"offset": layout["start"], "row": 2}
    with operation.file.open("rb") as file:
        size = operation.file.size
        rows = _Rows(file, encoding=layout["encoding"], delimiter=layout["delimiter"], start=cursor["offset"])
        numbered, errors = _take(rows, first=cursor["row"], headers=layout["headers"])
    people = (
        {user.email.casefold(): user.pk for user in User.objects.filter(is_active=True)}
        if "owner" in operation.params["mapping"].values()
        else {}
    )
    drafts: list[tuple[int, dict[str, str], LeadDraft]] = []
    for number, values in numbered:
        try:
            drafts.append((number, values, _draft_of(values, operation.params, people, actor)))
        except ValueError as error:
            name, _, message = str(error).partition("\t")
            errors.append(RowError(row=number, field=name, message=message, values=values))
    outcomes = capture_leads(
        drafts=[draft for _, _, draft in drafts],
        on_duplicate=OnDuplicate(operation.params["on_duplicate"]),
        operation_id=operation.pk,
        by=actor,
    )
    created, skipped = _tally(drafts, outcomes, errors)
    seen = created + skipped + len(errors)
    done = operation.done + seen
    read = rows.offset - layout["start"]
    return Chunk(
        cursor={"offset": rows.offset, "row": cursor["row"] + rows.taken},
        finished=rows.exhausted,
        # Until the end is reached the number of rows is an estimate from the bytes read.
        total=done if rows.exhausted or not read else max(done, round(done * (size - layout["start"]) / read)),
        created=created,
        skipped=skipped,
        errors=errors,
    )


def _tally(drafts: list[tuple[int, dict[str, str], LeadDraft]], outcomes: list[Outcome], errors: list[RowError]) -> tuple[int, int]:
    created = skipped = 0
    for (number, values, _draft), outcome in zip(drafts, outcomes, strict=True):
        if outcome.lead is not None:
            created += 1
        elif outcome.duplicate_of is not None:
            skipped += 1
        else:
            name, texts = next(iter(outcome.problems.items()), ("", ["Refused."]))
            errors.append(RowError(row=number, field=name, message=texts[0], values=values))
    return created, skipped


def _take(rows: "_Rows", *, first: int, headers: list[str]) -> tuple[list[tuple[int, dict[str, str]]], list[RowError]]:
    """The next chunk's rows by header, blank ones left out; rows that cannot be read as errors."""
    taken: list[tuple[int, dict[str, str]]] = []
    errors: list[RowError] = []
    while rows.taken < CHUNK_ROWS:
        number = first + rows.taken
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            errors.append(RowError(row=number, message=f"The row cannot be read: {error}."))
            continue
        if any(cell.strip() for cell in row):
            if len(row) > len(headers):
                extra = {header: cell[:500] for header, cell in zip(headers, row, strict=False)}
                errors.append(RowError(row=number, message=f"The row has {len(row)} cells under {len(headers)} headers.", values=extra))
            else:
                taken.append((number, {header: cell.strip() for header, cell in zip(headers, row, strict=False)}))
    return taken, errors


def _draft_of(values: dict[str, str], params: dict[str, Any], people: dict[str, int], actor: Actor) -> LeadDraft:
    """A row as a draft. ValueError carries "field<tab>message"."""
    mapping: dict[str, str] = params["mapping"]
    fields = {name: values.get(header, "") for header, name in mapping.items() if name != "-"}
    draft = LeadDraft(
        platform_key=Platform.IMPORT,
        lead_source=fields.pop("lead_source", "") or params["lead_source"],
        tags=[*split_words(fields.pop("tags", "").replace(";", ",")), *params["tags"]],
        custom_fields={header[:100]: text[:5_000] for header, text in values.items() if text and header not in mapping},
        raw_field_data=values,
        owner_id=params["owner_id"],
    )
    if fields.get("priority"):
        draft.priority = _read("priority", lambda: read_priority(fields["priority"]))
    fields.pop("priority", None)
    owner = fields.pop("owner", "").casefold()
    if owner:
        if owner not in people:
            raise ValueError("owner\tNo active user has this e-mail.")
        if not actor.can(ASSIGN) and people[owner] != actor.user_id:
            raise ValueError("owner\tYou may not give leads to others.")
        draft.owner_id = people[owner]
    for name in ("created_at", "next_follow_up_at"):
        text = fields.pop(name, "")
        if text:
            setattr(draft, name, _read(name, lambda text=text: _moment(text)))
    for name, text in fields.items():
        setattr(draft, name, text)
    return draft


def _read(name: str, read: Any) -> Any:
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{name}\t{error}") from None


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


class _Rows(Iterator[list[str]]):
    """CSV rows of a binary file with the byte offset after each, so that a later chunk goes on exactly there."""

    def __init__(self, file: IO[bytes], *, encoding: str, delimiter: str, start: int) -> None:
        file.seek(start)
        self.offset, self.taken, self.exhausted = start, 0, False
        self._file, self._encoding = file, encoding
        csv.field_size_limit(MOST_LINE)
        self._reader = csv.reader(self._lines(), delimiter=delimiter)

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(MOST_LINE):
            self.offset += len(line)
            text = (
                line.decode(self._encoding, errors="replace").lstrip("\ufeff")
                if self.offset == len(line)
                else line.decode(self._encoding, errors="replace")
            )
            yield text.replace("\x00", "")

    def __next__(self) -> list[str]:
        try:
            row = next(self._reader)
        except StopIteration:
            self.exhausted = True
            raise
        except csv.Error:
            self.taken += 1
            raise
        self.taken += 1
        return row


def _encoding_of(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableFile("The file is UTF-16. Save it as CSV (UTF-8) and try again.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter_of(text: str) -> str:
    first = next(csv.reader(io.StringIO(text), delimiter="\x1f"), [""])[0].splitlines() or [""]
    counts = {mark: first[0].count(mark) for mark in ",;\t|"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def _distinct(headers: list[str]) -> list[str]:
    """Name blank columns, and number repeated ones, so that none is lost."""
    seen: dict[str, int] = {}
    named = []
    for position, header in enumerate(headers, start=1):
        name = header or f"Column {position}"
        seen[name] = seen.get(name, 0) + 1
        named.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return named
