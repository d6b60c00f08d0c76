"""Write tables that leave the product, as a stream of bytes: CSV, JSON, and XLSX by way of a spool.

All are appended piece by piece, so that a file may be continued at the byte where it ended. A workbook's rows are spooled first,
as they will stand in its sheets, and put together by `write_workbook` when all are there.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any
from xml.sax.saxutils import escape

import orjson
import xlsxwriter
from django.utils.functional import Promise
from xlsxwriter.utility import xl_col_to_name

from crm.text import safe_cell

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What a sheet holds, without its heading, and a cell.
SHEET_ROWS = 1_048_575
CELL_CHARACTERS = 32_767
_WIDTH = 18
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_NON_STR_KEYS
# In the workbook that `_write_blank` makes: 0 is plain, 1 the headings.
_MOMENT_STYLE = 2
# Where a sheet's calendar begins, as Excel counts it.
_FIRST_DAY, _DAY = datetime(1899, 12, 30), timedelta(days=1)
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CODE = re.compile(r"_(x[0-9A-Fa-f]{4}_)")
_LINE_ENDS = {"\n": "&#10;", "\r": "&#13;"}
_DIMENSION = re.compile(rb"<dimension [^>]*/>")

Row = Sequence[Any]


def dumped(value: Any) -> bytes:
    """A value as JSON: timestamps in UTC with a Z, decimals and lazy texts as text."""
    return orjson.dumps(value, default=_as_text, option=_OPTIONS)


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal | Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be exported.")


def cell(value: Any) -> Any:
    """A value as a CSV cell that no spreadsheet runs: lists comma-separated, objects as JSON, timestamps as the API writes them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return safe_cell(_flat(value))


def _flat(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return dumped(value).decode()


@dataclass(frozen=True, kw_only=True)
class Csv:
    """Comma-separated text in UTF-8. With `marked` it begins with the mark by which spreadsheets know the encoding."""

    headings: Sequence[str]
    marked: bool = False
    content_type: str = "text/csv; charset=utf-8"
    extension: str = "csv"

    def opening(self) -> bytes:
        return (b"\xef\xbb\xbf" if self.marked else b"") + self._lines([[safe_cell(heading) for heading in self.headings]])

    def rows(self, rows: Iterable[Row], *, start: int) -> bytes:
        return self._lines([cell(value) for value in row] for row in rows)

    def closing(self, number: int) -> bytes:
        return b""

    def _lines(self, rows: Iterable[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        # A lone surrogate came in by JSON and has no UTF-8.
        return text.getvalue().encode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class Json:
    """One JSON document. `before` is what stands before the list of rows, `after(number)` what follows it."""

    names: Sequence[str]
    before: bytes
    after: Callable[[int], bytes]
    content_type: str = "application/json"
    extension: str = "json"

    def opening(self) -> bytes:
        return self.before + b"["

    def rows(self, rows: Iterable[Row], *, start: int) -> bytes:
        names = self.names
        lines = b",\n".join(dumped(dict(zip(names, row, strict=True))) for row in rows)
        return lines if not start or not lines else b",\n" + lines

    def closing(self, number: int) -> bytes:
        return b"]" + self.after(number)


@dataclass(frozen=True, kw_only=True)
class Spool:
    """A workbook's rows as they stand in its sheets, a line each, kept until it is put together. Moments in the zone's time."""

    columns: int = 0
    zone: tzinfo = UTC
    content_type: str = XLSX_TYPE
    extension: str = "xlsx"

    def opening(self) -> bytes:
        return b""

    def rows(self, rows: Iterable[Row], *, start: int) -> bytes:
        names = [xl_col_to_name(column) for column in range(self.columns)]
        lines = []
        for number, row in enumerate(rows, start=start):
            # The heading is row 1 of each sheet.
            place = number % SHEET_ROWS + 2
            cells = [
                _xml_cell(f"{name}{place}", value, self.zone)
                for name, value in zip(names, row, strict=True)
                if value is not None and value != ""
            ]
            lines.append(f'<row r="{place}">{"".join(cells)}</row>')
        return ("\n".join(lines) + "\n").encode() if lines else b""

    def closing(self, number: int) -> bytes:
        return b""


Format = Csv | Json | Spool


def _xml_cell(place: str, value: Any, zone: tzinfo) -> str:
    """A cell with its type. Text is inline and nothing but text, whatever it begins with."""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    # Beyond 15 digits a sheet's numbers are not exact; such a one is an id.
    if isinstance(value, int | float) and abs(value) < 10**15:
        return f'<c r="{place}"><v>{value!r}</v></c>'
    if isinstance(value, datetime) and value.tzinfo is not None and value.year > 1900:
        days = (value.astimezone(zone).replace(tzinfo=None, microsecond=0) - _FIRST_DAY) / _DAY
        return f'<c r="{place}" s="{_MOMENT_STYLE}"><v>{days:.15g}</v></c>'
    text = value if isinstance(value, str) else str(cell(value)) if isinstance(value, int | float | datetime | date) else _flat(value)
    kept = ' xml:space="preserve"' if text[:1].isspace() or text[-1:].isspace() else ""
    return f'<c r="{place}" t="inlineStr"><is><t{kept}>{_xml_text(text[:CELL_CHARACTERS])}</t></is></c>'


def _xml_text(text: str) -> str:
    """Text within XML on one line. Characters that XML has no place for are dropped; what a sheet would read as a code is kept apart."""
    if not text.isprintable():
        text = _NOT_XML.sub("", text)
    if "_x" in text:
        text = _CODE.sub(r"_x005F_\1", text)
    return escape(text, _LINE_ENDS)


def write_workbook(spool: Iterable[bytes], target: IO[bytes], *, headings: Sequence[str], number: int) -> None:
    """Put a workbook together of `number` spooled rows: the library makes all of it but the rows. A full sheet is followed by the next."""
    lines = iter(spool)
    with TemporaryFile() as blank:
        _write_blank(blank, headings=headings, sheets=max(1, -(-number // SHEET_ROWS)))
        with zipfile.ZipFile(blank) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
            for item in source.infolist():
                data = source.read(item)
                with book.open(item.filename, "w", force_zip64=True) as member:
                    if not item.filename.startswith("xl/worksheets/sheet"):
                        member.write(data)
                        continue
                    before, _mark, after = data.partition(b"</row>")
                    member.write(_DIMENSION.sub(b"", before) + b"</row>")
                    for line in islice(lines, SHEET_ROWS):
                        member.write(line)
                    member.write(after[after.index(b"</sheetData>") :])


def _write_blank(target: IO[bytes], *, headings: Sequence[str], sheets: int) -> None:
    """A workbook of headings, and one cell below by which it has the style of moments."""
    workbook = xlsxwriter.Workbook(target, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold, moment = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    for _number in range(sheets):
        sheet = workbook.add_worksheet()
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(0, len(headings) - 1), _WIDTH)
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading[:CELL_CHARACTERS] or " ", bold)
        sheet.write_number(1, 0, 1, moment)
    workbook.close()


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file on its way out, read once."""

    name: str
    content_type: str
    content: Iterator[bytes]
    size: int | None = None


def streamed(writer: Format, chunks: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """A whole file in CSV or JSON, a piece for each chunk of rows."""
    yield writer.opening()
    number = 0
    for chunk in chunks:
        yield writer.rows(chunk, start=number)
        number += len(chunk)
    yield writer.closing(number)
