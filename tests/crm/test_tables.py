"""Tables in files: every usual encoding, delimiter and quoting, workbooks, and what is meant to do harm."""

import csv
import io
import zipfile

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm import tables
from crm.tables import BadRow, TableRows, UnreadableFile, open_table


def opened(content: bytes):
    return open_table(io.BytesIO(content))


def read(content: bytes) -> list[list[str]]:
    table, layout = opened(content)
    with table:
        rows = [row.cells for row in TableRows.of(table, layout)]
    return [layout.headers, *rows]


def told(content: bytes) -> list[tuple[int, object]]:
    """Every row after the header by number: its cells, or what is wrong with it."""
    table, layout = opened(content)
    found: list[tuple[int, object]] = []
    with table:
        rows = TableRows.of(table, layout)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return found
            except BadRow as error:
                found.append((rows.number, str(error)))
            else:
                found.append((row.number, row.cells))


def workbook(rows: list[list[object]], **options) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, **options})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        for place, value in enumerate(row):
            sheet.write(number, place, value)
    book.close()
    return out.getvalue()


SPANISH = "Nombre,Ciudad\nJosé,Málaga\nÑandú,Cádiz\n"
TEXTS = {
    "utf-8": "Name,Ort\nJürgen,Köln\n名前,東京\n",
    "utf-8-sig": SPANISH,
    "utf-16": SPANISH,
    "utf-16-le": SPANISH,
    "utf-16-be": SPANISH,
    "utf-32": SPANISH,
    "cp1252": SPANISH,
    "cp1250": "Imię,Miasto\nŁukasz,Łódź\nŻaneta,Gdańsk\n",
    "cp1251": "Имя,Город\nИван,Москва\nПётр,Казань\n",
    "cp1253": "Όνομα,Πόλη\nΓιώργος,Αθήνα\n",
    "cp932": "名前,会社\n田中太郎,株式会社\n",
    "gb18030": "姓名,公司\n王小明,北京公司\n",
    "euc_kr": "이름,회사\n김철수,서울회사\n박영희,부산회사\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_text_is_read_in_the_encoding_it_was_written_in(encoding):
    text = TEXTS[encoding]
    assert read(text.encode(encoding)) == list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ":"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiter_is_the_mark_that_cuts_alike(mark, ending):
    rows = [["Name", "Note", "City"], ["A", f"x{mark}y", "Berlin"], ["B", "line\nbreak", "Rome"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark, lineterminator=ending).writerows(rows)
    assert read(out.getvalue().encode()) == rows


def test_single_quotes_quote_where_they_begin_the_file():
    assert read(b"'Name','Note'\n'A','x, y'\n") == [["Name", "Note"], ["A", "x, y"]]


def test_a_quote_that_is_never_closed_spoils_its_own_line_only():
    rows = told(b'Name,Note\nA,one\nB,"two\nC,three\nD,"four"\n')
    assert [number for number, _ in rows] == [2, 3, 4, 5]
    assert rows[0][1] == ["A", "one"]
    assert "cannot be read" in str(rows[1][1])
    assert [cells for _, cells in rows[2:]] == [["C", "three"], ["D", "four"]]


def test_bytes_that_are_no_text_spoil_their_own_row_only(monkeypatch):
    monkeypatch.setattr(tables, "_PIECE", 64)
    good = "".join(f"N{number},é\n" for number in range(200)).encode()
    rows = told(b"Name,Note\n" + good[:701] + b"Bad,\xff\xfe\xfa\n" + good[701:])
    wrong = [text for _, text in rows if isinstance(text, str)]
    assert len(rows) == 201
    assert len(wrong) == 1
    assert "not utf-8" in wrong[0]


def test_nul_bytes_are_dropped_and_endless_lines_refused(monkeypatch):
    monkeypatch.setattr(tables, "MOST_LINE", 100)
    rows = told(b"Name\n" + b"A\n" * 40_000 + b"A\x00B\n" + b"x" * 150 + b"\nC\n")[39_999:]
    assert rows[1] == (40_002, ["AB"])
    assert any("longer than" in str(text) for _, text in rows)
    assert rows[-1][1] == ["C"]


def test_a_file_whose_quotes_make_no_sense_is_given_up(monkeypatch):
    monkeypatch.setattr(tables, "MOST_RESTARTS", 5)
    with pytest.raises(UnreadableFile, match="quoted"):
        told(b"Name,Note\n" + b'A,"x"y\n' * 10)


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\ufeff"), max_size=20), min_size=2, max_size=2),
        max_size=12,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_row_comes_back_and_reading_resumes_at_any_of_them(rows):
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["Name", "Note"], *rows])
    content = out.getvalue().encode()
    wanted = [row for row in rows if any(cell.strip() for cell in row)]
    table, layout = opened(content)
    whole = TableRows.of(table, layout)
    marks = [(row.cells, whole.offset, whole.number) for row in whole]
    assert [cells for cells, _, _ in marks] == wanted
    for place, (_cells, offset, number) in enumerate(marks):
        rest = TableRows.of(table, layout, offset=offset, number=number)
        assert [(row.cells, row.number) for row in rest] == [(cells, later) for cells, _, later in marks[place + 1 :]]


@given(st.binary(max_size=400))
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused_with_a_sentence(content):
    try:
        rows = told(content)
    except UnreadableFile as refusal:
        rows = [(1, refusal.message)]
    assert all(what for _, what in rows)


# --- workbooks ---


def test_a_workbook_is_read_as_its_sheet_shows_it():
    import datetime as dt

    rows = [["Name", "Age", "Score", "Born", "At", "Member", "Formula"]]
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet("People")
    sheet.write_row(0, 0, rows[0])
    sheet.write_row(1, 0, ["Zoë", 42, 1.5])
    sheet.write_datetime(1, 3, dt.datetime(2024, 1, 31))
    sheet.write_datetime(1, 4, dt.datetime(2024, 1, 31, 9, 30))
    sheet.write_boolean(1, 5, True)
    sheet.write_formula(1, 6, "=1+1", None, 2)
    book.add_worksheet("Other").write(0, 0, "Elsewhere")
    book.close()
    assert read(content.getvalue())[1] == ["Zoë", "42", "1.5", "2024-01-31", "2024-01-31 09:30:00", "true", "2"]
    table, layout = open_table(io.BytesIO(content.getvalue()), sheet="Other")
    table.close()
    assert layout.headers == ["Elsewhere"]
    with pytest.raises(UnreadableFile, match="no sheet"):
        open_table(io.BytesIO(content.getvalue()), sheet="None")


def test_a_text_cell_that_looks_like_a_formula_stays_text():
    content = workbook([["Name"], ["=HYPERLINK(1)"]], strings_to_formulas=False)
    assert read(content)[1] == ["=HYPERLINK(1)"]


def test_a_sheet_of_too_many_columns_is_refused():
    with pytest.raises(UnreadableFile, match="columns"):
        opened(workbook([[f"c{number}" for number in range(600)]]))


def test_a_sheet_of_billions_of_empty_cells_is_refused_and_costs_no_memory():
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write(0, 0, "Name")
    sheet.write(1_048_575, 16_383, "far")
    book.close()
    with pytest.raises(UnreadableFile):
        opened(out.getvalue())


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<x/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    with pytest.raises(UnreadableFile, match="too large"):
        opened(out.getvalue())


@pytest.mark.parametrize("name", ["readme.txt", "../../etc/passwd"])
def test_an_archive_that_is_no_workbook_is_refused(name):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(UnreadableFile, match="no workbook"):
        opened(out.getvalue())


def test_a_damaged_workbook_is_refused():
    content = workbook([["Name"], ["A"]])
    with pytest.raises(UnreadableFile):
        opened(content[: len(content) // 2])


# --- layout ---


@pytest.mark.parametrize("content", [b"", b"   \n ", b"%PDF-1.7 \n", b"\xd0\xcf\x11\xe0 old sheet", b"\x89PNG\r\n", b"a\x00b\x00\x00c,d\n"])
def test_what_is_no_table_is_refused_with_a_sentence(content):
    with pytest.raises(UnreadableFile) as refusal:
        opened(content)
    assert (refusal.value.field, refusal.value.message[-1]) == ("file", ".")


def test_a_file_larger_than_the_install_takes_is_refused(settings):
    settings.IMPORT_MAX_BYTES = 10
    with pytest.raises(UnreadableFile, match="at most"):
        opened(b"Name,Email\nA,b\n")


def test_ten_thousand_columns_are_refused():
    with pytest.raises(UnreadableFile, match=r"10,000 columns"):
        opened(b",".join(b"c%d" % number for number in range(10_000)) + b"\n")


def test_equal_headers_have_equal_fingerprints_whatever_their_order_and_case():
    one, other, third = (opened(text)[1].fingerprint for text in (b"Name,Email\n", b"EMAIL,name\n", b"Name,Phone\n"))
    assert one == other != third
