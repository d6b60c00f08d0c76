"""The import engine: any CSV a sheet can save, each row exactly once."""

import io

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from crm.errors import Forbidden, InvalidInput
from crm.operations import runner
from crm.operations.models import Claim, Operation, OperationRow
from crm.tables import UnreadableFile, open_table
from leads.models import Lead
from leads.services import import_rows
from leads.services.import_rows import ImportOptions
from leads.services.imports import guessed_mapping, start_import
from leads.services.upsert import OnDuplicate
from tests.factories import acting, inside, make_lead


def layout(content: bytes):
    return open_table(io.BytesIO(content))[1]


def start(user, content: bytes, *, mapping: dict[str, str] | None = None, name: str = "people.csv", **options) -> Operation:
    with acting(user) as by:
        return start_import(file=ContentFile(content, name=name), mapping=mapping, options=ImportOptions(**options), by=by)


def run(user, content: bytes, **options) -> Operation:
    operation = start(user, content, **options)
    runner.run(operation.pk)
    with inside(user.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def counters(operation: Operation) -> tuple[int, int, int, int]:
    return operation.done, operation.created, operation.skipped, operation.failed


def errors(operation: Operation) -> list[tuple[int, str]]:
    with inside(operation.tenant_id):
        return [(error.row, error.field) for error in OperationRow.objects.filter(operation=operation, outcome="failed")]


def names(user) -> list[str]:
    with inside(user.tenant_id):
        return sorted(Lead.objects.values_list("first_name", flat=True))


# --- layouts ---


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter", "headers"),
    [
        (b"Name,Email\nA,a@x.example\n", "utf-8", ",", ["Name", "Email"]),
        (b"\xef\xbb\xbfName;Email\r\nA;a@x.example\r\n", "utf-8", ";", ["Name", "Email"]),
        (b"Name\tEmail\nA\ta@x.example", "utf-8", "\t", ["Name", "Email"]),
        (b"Name|Email\nA|b", "utf-8", "|", ["Name", "Email"]),
        ("Name,Größe\nJosé,1\n".encode(), "utf-8", ",", ["Name", "Größe"]),
        ("Name,Größe\nJosé,1\n".encode("cp1252"), "cp1252", ",", ["Name", "Größe"]),
        (b'"Full, name","E-mail"\nA,b\n', "utf-8", ",", ["Full, name", "E-mail"]),
        (b'"Na\nme",Email\nA,b\n', "utf-8", ",", ["Na\nme", "Email"]),
        (b"Name,,Name,\nA,b,c,d\n", "utf-8", ",", ["Name", "Column 2", "Name (2)", "Column 4"]),
        (b"Name\nA\n", "utf-8", ",", ["Name"]),
        (b"Name,Email", "utf-8", ",", ["Name", "Email"]),
    ],
)
def test_layout_is_read_off_the_file(content, encoding, delimiter, headers):
    found = layout(content)
    assert (found.encoding, found.delimiter, found.headers) == (encoding, delimiter, headers)


@pytest.mark.parametrize(
    "content",
    [b"", b"   \n ", b"%PDF-1.7 \n", b"PK\x03\x04\x00\x00\x00\x00", b",".join(b"c%d" % n for n in range(501))],
)
def test_what_is_no_table_is_refused_with_a_sentence(content):
    with pytest.raises(UnreadableFile) as refusal:
        layout(content)
    assert refusal.value.field == "file"
    assert refusal.value.message.endswith(".")


def test_headers_are_matched_by_their_usual_names_each_field_once(alice):
    found = layout(b"First Name,SURNAME,E-mail,e_mail,Phone Number,Organisation,Job Title,Lead Source,Shoe size\n")
    with inside(alice.tenant_id):
        mapping = guessed_mapping(found)
    assert mapping == {
        "First Name": "first_name",
        "SURNAME": "last_name",
        "E-mail": "email",
        "Phone Number": "phone",
        "Organisation": "company",
        "Job Title": "title",
        "Lead Source": "lead_source",
    }


# --- rows ---


def test_import_makes_leads_with_all_their_fields(alice, bob):
    content = (
        "Name,E-mail,Phone,Company,Priority,Status,Owner,Tags,Created at,Shoe size\n"
        f"Jane Roe,jane@acme.example,(415) 555-0134,Acme,High,Qualified,{bob.email.upper()},a; b,2024-01-31,42\n"
    ).encode()
    operation = run(alice, content, lead_source="Trade Show", tags=["fair"])
    with inside(alice.tenant_id):
        lead = Lead.objects.select_related("status").get()
    assert (lead.full_name, lead.email, lead.phone, lead.company) == ("Jane Roe", "jane@acme.example", "+14155550134", "Acme")
    assert (lead.priority, lead.status.code, lead.owner_id, lead.tags) == (3, "qualified", bob.pk, ["a", "b", "fair"])
    assert (lead.lead_source, lead.platform_key, lead.created_via, lead.operation_id) == ("Trade Show", "import", "import", operation.pk)
    assert lead.created_at.isoformat() == "2024-01-31T00:00:00+00:00"
    assert lead.custom_fields == {"Shoe size": "42"}
    assert lead.raw_field_data["Phone"] == "(415) 555-0134"
    assert lead.score > 0
    assert (operation.state, operation.percent, counters(operation)) == ("done", 100, (1, 1, 0, 0))


def test_import_reads_quotes_newlines_blank_lines_bom_and_both_line_ends(alice):
    content = (
        b'\xef\xbb\xbfName,Notes\r\n"Roe, Jane","line one\nline ""two"""\r\n\r\n , \r\nBob,plain\n\n"Zo\xc3\xab",' + "“ok”".encode() + b"\n"
    )
    operation = run(alice, content)
    with inside(alice.tenant_id):
        notes = dict(Lead.objects.values_list("first_name", "notes"))
    assert notes == {"Jane": 'line one\nline "two"', "Bob": "plain", "Zoë": "“ok”"}
    assert counters(operation) == (3, 3, 0, 0)


def test_import_of_a_windows_file(alice):
    run(alice, "Name;Company\nJosé;Müller\n".encode("cp1252"))
    with inside(alice.tenant_id):
        assert Lead.objects.get().company == "Müller"


def test_bad_rows_are_listed_by_their_number_and_do_not_stop_the_rest(alice, tenant):
    make_lead(tenant, email="known@acme.example")
    rows = [
        "Name,Email,Priority,Owner,Created at",
        "Good,good@acme.example,,,",
        "Bad,not-an-address,,,",
        "Known,Known@acme.example,,,",
        "",
        "Far,far@acme.example,,,,,too,many",
        "Urgent,u@acme.example,extremely,,",
        "Owned,o@acme.example,,nobody@x.example,",
        "Dated,d@acme.example,,,31.13.2024",
        ",,,,",
        ",no@name.example,,,",
        ",,high,,",
        "Twice,good@acme.example,,,",
        "Short",
    ]
    operation = run(alice, "\n".join(rows).encode())
    assert counters(operation) == (11, 3, 2, 6)
    assert errors(operation) == [(3, "email"), (6, ""), (7, "priority"), (8, "owner"), (9, "created_at"), (12, "name")]
    with inside(tenant.pk):
        first = OperationRow.objects.filter(operation=operation, outcome="failed").first()
    assert first.values["Email"] == "not-an-address"
    assert names(alice) == ["", "", "Good", "Short"]


def test_rows_that_are_there_already_may_be_added_all_the_same(alice, tenant):
    make_lead(tenant, email="known@acme.example")
    operation = run(alice, b"Name,Email\nA,known@acme.example\nB,known@acme.example\n", on_duplicate=OnDuplicate.CREATE)
    assert counters(operation) == (2, 2, 0, 0)


def test_mapping_chosen_by_hand_decides(alice):
    run(alice, b"Who,Where\nJane,Acme\n", mapping={"Who": "name", "Where": "-", "Gone": "email"})
    with inside(alice.tenant_id):
        lead = Lead.objects.get()
    assert (lead.first_name, lead.company, lead.custom_fields) == ("Jane", "", {})


@pytest.mark.parametrize(
    ("mapping", "content"),
    [({"Name": "dreams"}, b"Name\nA\n"), ({"Name": "notes"}, b"Name\nA\n"), (None, b"Colour,Shape\nred,round\n")],
)
def test_mapping_that_knows_nobody_is_refused(alice, mapping, content):
    with pytest.raises(InvalidInput) as refusal:
        start(alice, content, mapping=mapping)
    assert set(refusal.value.problems) == {"mapping"}


def test_rep_may_not_import(bob):
    with pytest.raises(Forbidden):
        start(bob, b"Name\nA\n")


# --- chunks ---


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_file_of_many_chunks_gives_each_row_once_whatever_lies_on_the_border(alice, monkeypatch, ending):
    monkeypatch.setattr(import_rows, "CHUNK_ROWS", 7)
    rows = ["Name,Notes"]
    for number in range(40):
        rows.append(f'N{number},"note{ending}of {number}, ""quoted"" — ü"')
        if number % 5 == 0:
            rows.append("")
    operation = run(alice, ending.join(rows).encode())
    assert counters(operation) == (40, 40, 0, 0)
    assert names(alice) == sorted(f"N{number}" for number in range(40))


def test_import_goes_on_where_the_last_commit_was(alice, monkeypatch):
    """A worker dies after every chunk; each row comes in once and keeps its number."""
    monkeypatch.setattr(import_rows, "CHUNK_ROWS", 4)
    rows = ["Name,Email"] + [f"N{number},{'bad' if number in (5, 9) else f'n{number}@acme.example'}" for number in range(14)]
    operation = start(alice, "\n".join(rows).encode())
    rounds = 0
    while runner._next_chunk(alice.tenant_id, operation.pk):
        rounds += 1
        assert rounds < 10
    with inside(alice.tenant_id):
        operation.refresh_from_db()
    assert counters(operation) == (14, 12, 0, 2)
    assert errors(operation) == [(7, "email"), (11, "email")]
    assert names(alice) == sorted(f"N{number}" for number in range(14) if number not in (5, 9))
    assert not Claim.objects.filter(operation_id=operation.pk).exists()


def test_duplicates_are_found_across_chunks(alice, monkeypatch):
    monkeypatch.setattr(import_rows, "CHUNK_ROWS", 2)
    operation = run(alice, b"Name,Email\nA,a@x.example\nB,b@x.example\nC,A@x.example\nD,d@x.example\nE,b+1@x.example\n")
    assert counters(operation) == (5, 3, 2, 0)


def test_total_is_estimated_on_the_way_and_exact_in_the_end(alice, monkeypatch):
    monkeypatch.setattr(import_rows, "CHUNK_ROWS", 10)
    operation = start(alice, b"Name\n" + b"".join(b"N%03d\n" % number for number in range(30)))
    runner._next_chunk(alice.tenant_id, operation.pk)
    with inside(alice.tenant_id):
        operation.refresh_from_db()
    assert (operation.state, operation.total, operation.percent) == ("running", 30, 33)
    runner.run(operation.pk)
    with inside(alice.tenant_id):
        operation.refresh_from_db()
    assert (operation.state, operation.total, operation.percent) == ("done", 30, 100)


def test_file_of_a_header_alone_is_done_at_once(alice):
    assert counters(run(alice, b"Name,Email\n")) == (0, 0, 0, 0)


# --- the command ---


def test_command_imports_as_its_user(alice, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("Name,Email\nJane,j@acme.example\nBad,bad\n")
    out = io.StringIO()
    call_command("import_leads", str(path), "--user", alice.email.upper(), "--source", "Event", stdout=out)
    assert out.getvalue().startswith("done: 2 rows, 1 created, 0 updated, 0 skipped, 1 failed")
    with inside(alice.tenant_id):
        lead = Lead.objects.get()
    assert (lead.lead_source, lead.created_by_id) == ("Event", alice.pk)


def test_command_says_what_is_wrong(alice, bob, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("Name\nJane\n")
    for arguments in (
        [str(path), "--user", "nobody@x.example"],
        [str(path), "--user", bob.email],
        [str(tmp_path / "none.csv"), "--user", alice.email],
    ):
        with pytest.raises(CommandError):
            call_command("import_leads", *arguments)
