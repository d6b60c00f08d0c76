"""Tables in files: delimited text in any usual encoding, and XLSX. Read as a stream of rows that can be resumed at a byte.

Whatever is not delimited text with plain line ends (XLSX, UTF-16, UTF-32) is rewritten once as UTF-8 CSV; after that every
reader knows one format.
"""

import codecs
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from charset_normalizer import from_bytes
from django.conf import settings

from crm import workbook
from crm.errors import DomainError

MOST_COLUMNS = 500
# The longest cell, and the longest line of a file without quotes that are never closed.
MOST_CELL = 100_000
MOST_LINE = 1_000_000
SAMPLES = 3
# Lines whose quotes make no sense, after which the whole file is given up: each costs reading on to where the sense ends.
MOST_RESTARTS = 1000
DELIMITERS = ",;\t|:"
# A workbook is held in memory while it is rewritten, so what it unpacks to is bounded, as is how much it may swell.
MOST_UNPACKED = 300 * 1024**2
MOST_SWELLING = 200
WORKBOOK_SECONDS = 120
_PIECE = 64 * 1024
# What sheets are saved in the world over; the detector's long tail would only make short files ambiguous.
_ENCODINGS = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_15", "koi8_r", "mac_roman",
    "cp932", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp949",
]  # fmt: skip
_UNICODE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


class UnreadableFile(DomainError):
    """The file is no table we can read; the sentence says why."""

    code = "UNREADABLE_FILE"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message, field="file")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is written, read off it: `start` is the byte at which the first data row begins."""

    encoding: str
    delimiter: str
    headers: list[str]
    start: int
    quote: str = '"'
    samples: list[list[str]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """The same for every file with these headers, whatever their case and order."""
        return hashlib.blake2b("\x1f".join(sorted(header.casefold() for header in self.headers)).encode(), digest_size=16).hexdigest()

    def stored(self) -> dict[str, Any]:
        """As JSON that `Layout(**stored)` reads."""
        return asdict(self)


def open_table(file: IO[bytes], *, sheet: str = "") -> tuple[IO[bytes], Layout]:
    """Find out how a file is written. Answers it, or its rewriting as UTF-8 CSV, with its layout. Raises UnreadableFile."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    head = file.read(_PIECE)
    if not head.strip():
        raise UnreadableFile("The file is empty.")
    if size > settings.IMPORT_MAX_BYTES:
        raise UnreadableFile(f"The file has {size / 1024**2:,.0f} MB; at most {settings.IMPORT_MAX_BYTES / 1024**2:,.0f} MB are taken.")
    table = file
    if head.startswith(b"PK\x03\x04"):
        table = _from_workbook(file, sheet=sheet)
    elif head.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"Rar!")):
        raise UnreadableFile("This is not a table of text. Save the sheet as XLSX or CSV and try again.")
    elif wide := _wide_encoding(head):
        table = _rewritten_text(file, encoding=wide)
    try:
        return table, _layout_of(table)
    except UnreadableFile:
        if table is not file:
            table.close()
        raise


# --- layout ---


def _wide_encoding(head: bytes) -> str:
    """The encoding of a file whose characters are two or four bytes wide; empty for all others."""
    marked = next((name for mark, name in _UNICODE_MARKS if head.startswith(mark)), "")
    if marked:
        return marked
    # Without a mark: plain text that is every other byte NUL.
    sample = head[:4096]
    if len(sample) >= 4 and sample[1::2].count(0) > len(sample) * 0.4:
        return "utf-16-le"
    if len(sample) >= 4 and sample[0::2].count(0) > len(sample) * 0.4:
        return "utf-16-be"
    return ""


def _layout_of(file: IO[bytes]) -> Layout:
    encoding = _encoding_of(file)
    file.seek(0)
    text = file.read(_PIECE).decode(encoding, errors="replace").lstrip("\ufeff")
    if "\x00" in text:
        raise UnreadableFile("This is not a table of text. Save the sheet as XLSX or CSV and try again.")
    quote = "'" if text.startswith("'") and '"' not in text else '"'
    delimiter = _delimiter_of(text, quote)
    rows = TableRows(file, encoding=encoding, delimiter=delimiter, quote=quote, start=0)
    try:
        headers = [header.strip() for header in next(rows).cells]
        start = rows.offset
    except StopIteration:
        raise UnreadableFile("The file has no header row.") from None
    except BadRow as error:
        raise UnreadableFile(f"The file cannot be read as a table: {error}") from None
    if len(headers) > MOST_COLUMNS:
        raise UnreadableFile(f"The file has {len(headers):,} columns; at most {MOST_COLUMNS} are read.")
    samples: list[list[str]] = []
    while len(samples) < SAMPLES:
        try:
            samples.append(next(rows).cells)
        except StopIteration:
            break
        except BadRow:
            continue
    return Layout(encoding=encoding, delimiter=delimiter, quote=quote, headers=distinct(headers), samples=samples, start=start)


def _encoding_of(file: IO[bytes]) -> str:
    """UTF-8 where the file's beginning, middle and end are, else what the detector makes of them."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    pieces = []
    places = [0] if size <= 4 * _PIECE else [0, size // 3, 2 * size // 3, size - _PIECE]
    for at in places:
        file.seek(at)
        piece = file.read(_PIECE if len(places) > 1 else size)
        # Whole lines only, so that no character is cut in two.
        first = piece.find(b"\n") + 1 if at else 0
        last = piece.rfind(b"\n") + 1 if at + len(piece) < size else len(piece)
        pieces.append(piece[first : last or len(piece)])
    sample = b"".join(pieces)
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        # A single line longer than a piece may end inside a character.
        if error.start < len(sample) - 4:
            return _detected(sample)
    return "utf-8"


def _detected(sample: bytes) -> str:
    found = from_bytes(sample, cp_isolation=_ENCODINGS, preemptive_behaviour=False)
    best = found.best()
    if best is None:
        return "cp1252"
    near = [match for match in found if match.chaos <= best.chaos + 0.01 and match.coherence >= best.coherence - 0.05]
    likely = [name for name in _ENCODINGS if any(name in match.could_be_from_charset for match in near)]
    # What fits several alike was written in the one that makes letters of it, else in the commonest.
    return min(likely, key=lambda name: _oddities(sample, name), default=best.encoding)


def _oddities(sample: bytes, encoding: str) -> int:
    return sum(not char.isascii() and not char.isalpha() for char in sample.decode(encoding, errors="replace"))


def _delimiter_of(text: str, quote: str) -> str:
    """The mark that cuts the first rows into equally many cells, and into the most."""
    best, best_score = ",", (0, 0)
    lines = text[:_PIECE]
    for mark in DELIMITERS:
        reader = csv.reader(io.StringIO(lines, newline=""), delimiter=mark, quotechar=quote)
        widths: list[int] = []
        try:
            for row in reader:
                if row:
                    widths.append(len(row))
                if len(widths) == 20:
                    break
        except csv.Error:
            pass
        if not widths or widths[0] < 2:
            continue
        width, times = Counter(widths[: len(widths) - 1] or widths).most_common(1)[0]
        score = (times if width == widths[0] else 0, width)
        if score > best_score:
            best, best_score = mark, score
    return best


def distinct(headers: Sequence[str]) -> list[str]:
    """Name blank columns, and number repeated ones, so that none is lost."""
    seen: dict[str, int] = {}
    named = []
    for position, header in enumerate(headers, start=1):
        name = (header or f"Column {position}")[:200]
        seen[name] = seen.get(name, 0) + 1
        named.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return named


# --- rows ---


class BadRow(ValueError):
    """A row that cannot be read; the rows after it can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row with its number as a sheet shows it: the header is row 1."""

    number: int
    cells: list[str]


class TableRows(Iterator[Row]):
    """Rows of a file from a byte on. After each row `offset` is where the next begins and `number` is the row's number.

    A row that cannot be read raises BadRow and reading goes on with the next line, so that a quote which is never closed
    spoils its own line and no other. Blank lines are passed over.
    """

    def __init__(self, file: IO[bytes], *, encoding: str, delimiter: str, quote: str = '"', start: int, number: int = 0) -> None:
        self.offset, self.number, self.exhausted = start, number, False
        self._file, self._encoding, self._delimiter, self._quote = file, encoding, delimiter, quote
        self._restarts = 0
        self._go_to(start)

    @classmethod
    def of(cls, file: IO[bytes], layout: Layout, *, offset: int | None = None, number: int = 1) -> "TableRows":
        """The rows after a layout's header, or after the row `number` that ended at `offset`."""
        return cls(
            file,
            encoding=layout.encoding,
            delimiter=layout.delimiter,
            quote=layout.quote,
            start=layout.start if offset is None else offset,
            number=number,
        )

    def _go_to(self, offset: int) -> None:
        csv.field_size_limit(MOST_CELL)
        self._file.seek(offset)
        self.offset = offset
        # Where each line of the row in hand ended, and what is wrong with its bytes.
        self._ends: list[int] = []
        self._broken = ""
        self._reader = csv.reader(self._lines(), delimiter=self._delimiter, quotechar=self._quote, strict=True)

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(MOST_LINE):
            first = self.offset == 0
            self.offset += len(line)
            self._ends.append(self.offset)
            if len(line) >= MOST_LINE:
                self._broken = f"it is longer than {MOST_LINE:,} bytes"
                line = b""
            try:
                text = line.decode(self._encoding)
            except UnicodeDecodeError:
                self._broken = f"it holds bytes that are not {self._encoding}"
                text = line.decode(self._encoding, errors="replace")
            yield (text.removeprefix("\ufeff") if first else text).replace("\x00", "")

    def __next__(self) -> Row:
        while True:
            self._broken, self._ends = "", []
            try:
                cells = next(self._reader)
            except StopIteration:
                self.exhausted = True
                raise
            except csv.Error as error:
                self._resume()
                raise BadRow(f"The row cannot be read: {error}.") from None
            self.number += 1
            if self._broken:
                raise BadRow(f"The row cannot be read: {self._broken}.")
            if any(cell.strip() for cell in cells):
                return Row(number=self.number, cells=cells)

    def _resume(self) -> None:
        """Count the line in hand as a row, and go on with the one after it."""
        self.number += 1
        self._restarts += 1
        if self._restarts > MOST_RESTARTS:
            raise UnreadableFile(f"The file is not quoted as CSV is: more than {MOST_RESTARTS:,} of its rows cannot be told apart.")
        self._go_to(self._ends[0])


# --- rewriting ---


def _rewritten_text(file: IO[bytes], *, encoding: str) -> IO[bytes]:
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    out = tempfile.TemporaryFile(suffix=".csv")  # noqa: SIM115 -- the caller reads and closes it
    try:
        while piece := file.read(1024**2):
            out.write(decoder.decode(piece).encode("utf-8", errors="replace"))
        out.write(decoder.decode(b"", final=True).encode("utf-8", errors="replace"))
    except UnicodeDecodeError:
        out.close()
        raise UnreadableFile(
            f"The file begins as {encoding.upper()} and is broken further on. Save it as CSV (UTF-8) and try again."
        ) from None
    return out


def _from_workbook(file: IO[bytes], *, sheet: str) -> IO[bytes]:
    """A sheet as UTF-8 CSV, made by a process of its own with bounded memory: a few bytes can say a sheet of billions of cells."""
    _check_archive(file)
    file.seek(0)
    out = tempfile.TemporaryFile(suffix=".csv")  # noqa: SIM115 -- the caller reads and closes it
    with tempfile.NamedTemporaryFile(suffix=".xlsx") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        command = [sys.executable, "-I", str(Path(workbook.__file__)), copy.name, sheet, str(MOST_COLUMNS)]
        try:
            done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, timeout=WORKBOOK_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            out.close()
            raise UnreadableFile("The workbook takes too long to read. Save the sheet as CSV and try again.") from None
    if done.returncode:
        out.close()
    if done.returncode == workbook.REFUSED:
        raise UnreadableFile(done.stderr.decode(errors="replace").strip()[-300:])
    if done.returncode:
        raise UnreadableFile("The workbook is too large or damaged. Save the sheet as CSV and try again.")
    return out


def _check_archive(file: IO[bytes]) -> None:
    """Refuse what is no workbook, and one made to fill the memory, before anything is unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile:
        raise UnreadableFile("The workbook is damaged. Save it anew and try again.") from None
    names = {entry.filename for entry in entries}
    if not any(name.startswith("xl/workbook") or name == "content.xml" for name in names):
        raise UnreadableFile("This archive is no workbook. Unpack it and send the CSV or XLSX itself.")
    unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if unpacked > MOST_UNPACKED or len(entries) > 10_000 or unpacked > MOST_SWELLING * max(packed, 50_000):
        raise UnreadableFile("The workbook is too large to be read as a whole. Save the sheet as CSV, which may have any size.")
