"""Files that leave the product."""

import io
import zipfile
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook

from crm import exporting
from crm.exporting import Csv, Spool, cell, write_workbook


def workbook(*rows: list, headings: list[str] | None = None) -> bytes:
    headings = headings or [f"h{n}" for n in range(len(rows[0]) if rows else 1)]
    spool = Spool(columns=len(headings), zone=ZoneInfo("Asia/Tokyo"))
    half = len(rows) // 2
    lines = spool.rows(rows[:half], start=0) + spool.rows(rows[half:], start=half)
    target = io.BytesIO()
    write_workbook(io.BytesIO(lines), target, headings=headings, number=len(rows))
    return target.getvalue()


def sheets(data: bytes) -> list[list[list]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return [book.get_sheet_by_index(number).to_python() for number in range(len(book.sheet_names))]


def test_workbook_keeps_types_and_places():
    at = datetime(2024, 1, 31, 20, 15, 30, tzinfo=UTC)
    found = sheets(
        workbook([1, None, "text", True, 0.5, at, ["a", "b"], {"k": 1}, 10**17], ["", "x", None, False, -3, None, [], None, ""])
    )[0]
    assert found[1] == [1.0, "", "text", True, 0.5, datetime(2024, 2, 1, 5, 15, 30), "a, b", '{"k":1}', str(10**17)]
    assert found[2][:5] == ["", "x", "", False, -3.0]


@pytest.mark.parametrize(
    "text", ["=1+1", "<b>&amp;", " padded ", "line\nbreak\r\n", "_x0041_", "a\x00\x07\ufffeb", "\ud800", "😀 ü", "]]>", '"quoted"']
)
def test_text_stays_text(text):
    data = workbook([text, "end"])
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        xml = book.read("xl/worksheets/sheet1.xml")
    root = fromstring(xml)
    assert not [node for node in root.iter() if node.tag.endswith("}f")]
    found = "".join(node.text or "" for node in root.iter() if node.tag.endswith("}t")).removeprefix("h0h1").removesuffix("end")
    kept = "".join(char for char in text if char not in "\x00\x07\ufffe\ud800")
    assert found == kept.replace("_x0041_", "_x005F_x0041_")


def test_a_full_sheet_is_followed_by_the_next(monkeypatch):
    monkeypatch.setattr(exporting, "SHEET_ROWS", 3)
    found = sheets(workbook(*[[n] for n in range(7)], headings=["n"]))
    assert found == [[["n"], [0.0], [1.0], [2.0]], [["n"], [3.0], [4.0], [5.0]], [["n"], [6.0]]]


def test_nothing_is_a_workbook_of_headings():
    assert sheets(workbook(headings=["a", "b"])) == [[["a", "b"]]]


def test_lone_surrogates_do_not_stop_a_file():
    assert Csv(headings=["a"]).rows([["\ud800x"]], start=0) == b"?x\r\n"


def test_cells_of_csv():
    assert [cell(value) for value in (None, True, 1.5, "=x", ["=a", "b"], {"a": None}, datetime(2024, 1, 1, tzinfo=UTC))] == [
        "", "true", 1.5, "'=x", "'=a, b", '{"a":null}', "2024-01-01T00:00:00Z",
    ]  # fmt: skip
