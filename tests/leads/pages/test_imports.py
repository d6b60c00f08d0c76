"""The import wizard, step by step."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from crm.operations import runner
from crm.operations.models import Claim, Operation, OperationRow
from leads.models import ImportMapping, Lead
from leads.pages.import_forms import FIELD_GROUPS
from leads.services.field_names import FIELDS
from tests.factories import inside, make_lead, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}
PEOPLE = b"Name,E-mail,Budget\nAnn,ann@acme.example,10\nBob,bad,20\nCid,cid@acme.example,30\n"


@pytest.fixture
def web(alice, pages):
    return pages(alice)


def text(answer) -> str:
    return answer.content.decode()


def upload(web, content: bytes = PEOPLE, *, name: str = "people.csv"):
    return web.post("/leads/import", {"file": SimpleUploadedFile(name, content)})


def draft(web, content: bytes = PEOPLE, *, name: str = "people.csv") -> str:
    """The address of a new draft's steps."""
    answer = upload(web, content, name=name)
    assert answer.status_code == 302
    return answer.headers["Location"].removesuffix("/map")


def operation_at(here: str, tenant) -> Operation:
    with inside(tenant.pk):
        return Operation.objects.get(pk=int(here.rsplit("/", 1)[1]))


def run_newest(tenant) -> Operation:
    with inside(tenant.pk):
        operation = Operation.objects.latest("pk")
    runner.run(operation.pk)
    with inside(tenant.pk):
        return Operation.objects.get(pk=operation.pk)


def check(web, here: str, tenant) -> Operation:
    assert web.post(f"{here}/check", {"action": "check"}).headers["Location"] == f"{here}/check"
    return run_newest(tenant)


def start(web, here: str, tenant) -> Operation:
    answer = web.post(f"{here}/run")
    assert answer.headers["Location"] == f"/operations/{here.rsplit('/', 1)[1]}"
    pk = operation_at(here, tenant).pk
    runner.run(pk)
    with inside(tenant.pk):
        return Operation.objects.get(pk=pk)


def leads(tenant) -> dict[str, Lead]:
    with inside(tenant.pk):
        return {lead.first_name: lead for lead in Lead.objects.all()}


def mapped(*fields: str, **names: str) -> dict[str, str]:
    return {f"field-{place}": field for place, field in enumerate(fields)} | {f"name-{key[1:]}": name for key, name in names.items()}


def workbook(*rows: tuple[str, ...]) -> bytes:
    """The least that is a workbook."""
    cells = "".join("<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows)
    main, office = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org/officeDocument/2006"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}/relationships"><sheets>'
        '<sheet name="People" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


# --- upload ---


def test_upload_leads_to_the_mapping_and_stays_listed(web, tenant):
    assert "Not finished yet" not in text(web.get("/leads/import"))
    here = draft(web)
    assert operation_at(here, tenant).state == "draft"
    page = text(web.get("/leads/import"))
    assert "Import of people.csv" in page
    assert f"{here}/map" in page
    assert f"{here}/discard" in page


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"%PDF-1.7 x", "This is not a table of text."),
        (",".join(f"h{n}" for n in range(501)).encode() + b"\n1\n", "The file has 501 columns; at most 500 are read."),
    ],
)
def test_unreadable_file_is_refused_at_its_field(web, tenant, content, sentence):
    answer = upload(web, content)
    assert answer.status_code == 422
    assert answer.context["form"].errors["file"][0].startswith(sentence)
    with inside(tenant.pk):
        assert not Operation.objects.exists()


def test_a_file_must_be_chosen(web):
    answer = web.post("/leads/import", {})
    assert (answer.status_code, answer.context["form"].errors["file"]) == (422, ["Choose a file first."])


def test_workbook_is_imported(web, tenant):
    here = draft(web, workbook(("Full name", "Work email"), ("Ann Archer", "ann@acme.example")), name="people.xlsx")
    assert "Ann Archer" in text(web.get(f"{here}/map"))
    assert start(web, here, tenant).created == 1
    assert leads(tenant)["Ann"].email == "ann@acme.example"


def test_draft_is_thrown_away_with_its_file_and_stops_its_check(web, tenant, django_capture_on_commit_callbacks):
    here = draft(web)
    done = check(web, here, tenant)
    web.post(f"{here}/check", {"action": "check"})
    file = operation_at(here, tenant).file
    assert file.storage.exists(file.name)
    with django_capture_on_commit_callbacks(execute=True):
        assert web.post(f"{here}/discard").headers["Location"] == "/leads/import"
    assert not file.storage.exists(file.name)
    with inside(tenant.pk):
        assert sorted(Operation.objects.values_list("kind", "state")) == [
            ("leads.import_check", "cancelled"),
            ("leads.import_check", "done"),
        ]
        assert not OperationRow.objects.filter(operation=done).exists()
    assert not Claim.objects.exists()
    assert web.get(f"{here}/map").status_code == 404


# --- who may ---


def test_drafts_are_ones_own(web, pages, tenant, mallory):
    here = draft(web)
    colleague = make_user(tenant, role="admin")
    for other in (colleague, mallory):
        client = pages(other)
        assert "people.csv" not in text(client.get("/leads/import"))
        for path in ("map", "options", "check", "rows/2"):
            assert client.get(f"{here}/{path}").status_code == 404, path
        for path in ("map", "options", "check", "rows/2", "run", "discard"):
            assert client.post(f"{here}/{path}", {"action": "leave-out"}).status_code == 404, path
    found = operation_at(here, tenant)
    assert (found.state, found.params["edits"]) == ("draft", {})


def test_reps_do_not_import(pages, bob, web):
    here = draft(web)
    client = pages(bob)
    assert client.get("/leads/import").status_code == 403
    assert upload(client).status_code == 403
    assert client.get(f"{here}/map").status_code == 403


def test_started_import_is_shown_by_its_operation(web, tenant):
    here = draft(web)
    web.post(f"{here}/run")
    shown = f"/operations/{here.rsplit('/', 1)[1]}"
    assert web.get(f"{here}/map").headers["Location"] == shown
    assert web.post(f"{here}/run").headers["Location"] == shown
    assert web.post(f"{here}/discard").headers["Location"] == shown
    assert web.get(f"{here}/check", **HTMX).headers["HX-Redirect"] == shown
    assert Claim.objects.count() == 1
    assert web.get(f"/leads/import/{10**30}/map").status_code == 404


# --- map ---


def test_every_field_is_offered_once():
    offered = [code for _label, fields in FIELD_GROUPS for code, _text in fields]
    assert sorted(offered) == sorted(FIELDS)


def test_columns_are_matched_by_name_with_three_samples(web):
    here = draft(web)
    answer = web.get(f"{here}/map")
    rows = [(row["header"], row["code"], row["matched"], row["samples"]) for row in answer.context["rows"]]
    assert rows == [
        ("Name", "name", True, ["Ann", "Bob", "Cid"]),
        ("E-mail", "email", True, ["ann@acme.example", "bad", "cid@acme.example"]),
        ("Budget", "custom:", False, ["10", "20", "30"]),
    ]
    assert "Mapped as last time" not in text(answer)
    assert 'aria-current="step"' in text(answer)


def test_mapping_is_set_and_remembered_by_its_headers(web, tenant):
    here = draft(web)
    answer = web.post(f"{here}/map", mapped("first_name", "-", "custom:", _2="Means"))
    assert answer.headers["Location"] == f"{here}/options"
    assert operation_at(here, tenant).params["mapping"] == {"Name": "first_name", "E-mail": "-", "Budget": "custom:Means"}
    assert start(web, here, tenant).created == 3
    assert leads(tenant)["Bob"].custom_fields == {"Means": "20"}
    assert leads(tenant)["Bob"].email == ""
    again = web.get(f"{draft(web)}/map")
    assert "Mapped as last time" in text(again)
    assert [(row["code"], row["name"]) for row in again.context["rows"]] == [
        ("first_name", "Name"),
        ("-", "E-mail"),
        ("custom:", "Means"),
    ]


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        (mapped("email", "email", "-"), {"field-1": ["The column “Name” fills this already."]}),
        (mapped("name", "custom:", "custom:", _1="X", _2="X"), {"field-2": ["The column “E-mail” fills this already."]}),
        (mapped("-", "custom:", "custom:"), {"__all__": ["No column holds a name, e-mail, phone or company."]}),
    ],
)
def test_wrong_mapping_is_said_at_its_column(web, tenant, sent, wrong):
    here = draft(web)
    before = operation_at(here, tenant).params["mapping"]
    answer = web.post(f"{here}/map", sent)
    assert answer.status_code == 422
    assert dict(answer.context["form"].errors) == wrong
    assert operation_at(here, tenant).params["mapping"] == before
    for sentence in next(iter(wrong.values())):
        assert sentence in text(answer)


def test_unknown_field_is_refused_at_its_column(web):
    here = draft(web)
    answer = web.post(f"{here}/map", mapped("name", "password", "-"))
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["field-1"])


def test_headers_are_shown_as_text(web):
    here = draft(web, b"Name,<img src=x>\n<b>Ann</b>,1\n", name="<script>.csv")
    for path in ("map", "options", "check", "rows/2"):
        page = text(web.get(f"{here}/{path}"))
        assert "<img src=x>" not in page
        assert "<b>Ann" not in page
        assert "<script>.csv" not in page


# --- options ---


def test_options_are_kept_and_applied(web, tenant, alice):
    known = make_lead(tenant, first_name="Known", email="ann@acme.example", company="Old")
    here = draft(web, b"First name,E-mail,Company\nAnn,ann@acme.example,New\nCid,cid@acme.example,New\n")
    sent = {
        "on_duplicate": "update",
        "match_by": "email",
        "keep_existing": "1",
        "owner": str(alice.pk),
        "lead_source": "Event",
        "tags": "fair, 2026",
    }
    assert web.post(f"{here}/options", sent).headers["Location"] == f"{here}/check"
    shown = web.get(f"{here}/options").context["form"].initial
    assert shown == sent
    done = start(web, here, tenant)
    assert (done.created, done.updated) == (1, 1)
    cid = leads(tenant)["Cid"]
    assert (cid.owner_id, cid.lead_source, cid.tags) == (alice.pk, "Event", ["fair", "2026"])
    with inside(tenant.pk):
        kept = Lead.objects.get(pk=known.pk)
    assert (kept.first_name, kept.company) == ("Known", "Old")


def test_options_say_what_is_wrong_at_their_field(web):
    here = draft(web)
    base = {"on_duplicate": "skip", "match_by": "any"}
    wrong = web.post(f"{here}/options", {**base, "on_duplicate": "explode", "owner": "999999"})
    assert (wrong.status_code, set(wrong.context["form"].errors)) == (422, {"on_duplicate", "owner"})
    by_id = web.post(f"{here}/options", {**base, "match_by": "id"})
    assert (by_id.status_code, dict(by_id.context["form"].errors)) == (422, {"match_by": ["No column holds the leads' ids."]})


def test_mapping_may_not_lose_the_ids_that_rows_are_matched_by(web):
    here = draft(web, b"Lead id,Name\n1,Ann\n")
    assert web.post(f"{here}/options", {"on_duplicate": "only_update", "match_by": "id"}).status_code == 302
    answer = web.post(f"{here}/map", mapped("-", "name"))
    assert (answer.status_code, dict(answer.context["form"].errors)) == (422, {"__all__": ["No column holds the leads' ids."]})


# --- check ---


def test_before_a_check_the_first_rows_say_what_is_wrong_with_them(web):
    here = draft(web)
    answer = web.get(f"{here}/check")
    assert [(item["row"].number, item["row"].wrong) for item in answer.context["rows"]] == [(2, ""), (3, "E-mail"), (4, "")]
    assert "Check the file" in text(answer)
    assert "Start import" in text(answer)


def test_check_shows_progress_then_totals_and_the_rows_that_would_fail(web, tenant):
    make_lead(tenant, email="cid@acme.example")
    here = draft(web)
    web.post(f"{here}/check", {"action": "check"})
    waiting = web.get(f"{here}/check", **HTMX)
    assert text(waiting).lstrip().startswith('<div id="check"')
    assert "every 2s, live:operation.progress from:body" in text(waiting)
    assert "rows" not in waiting.context_data
    # Asking again while one runs starts no second.
    web.post(f"{here}/check", {"action": "check"})
    assert Claim.objects.count() == 1
    done = run_newest(tenant)
    over = web.get(f"{here}/check", **HTMX)
    assert "every 2s" not in text(over)
    assert [item["value"] for item in over.context_data["counters"]] == [1, 0, 1, 1]
    assert [(item["row"].number, item["row"].wrong) for item in over.context_data["rows"]] == [(3, "E-mail")]
    assert f"/operations/{done.pk}?rows=skipped#rows" in text(over)
    first = web.get(f"{here}/check?rows=first")
    assert [item["row"].number for item in first.context["rows"]] == [2, 3, 4]
    assert len(leads(tenant)) == 1


def test_check_is_stopped(web, tenant):
    here = draft(web)
    web.post(f"{here}/check", {"action": "check"})
    web.post(f"{here}/check", {"action": "stop"})
    assert not Claim.objects.exists()
    assert "The check did not finish" in text(web.get(f"{here}/check"))


def test_check_of_a_part_says_so(web, tenant, monkeypatch):
    monkeypatch.setattr("leads.services.import_rows.CHUNK_ROWS", 2)
    monkeypatch.setattr("leads.services.imports.MOST_CHECKED", 2)
    here = draft(web)
    check(web, here, tenant)
    assert "The first 2 rows were checked" in text(web.get(f"{here}/check"))


def test_failing_rows_are_paged_by_cursor(web, tenant):
    here = draft(web, b"Name,E-mail\n" + b"".join(b"N,bad\n" for _ in range(120)))
    check(web, here, tenant)
    seen, answer = [], web.get(f"{here}/check")
    for size in (50, 50, 20):
        rows = answer.context_data["rows"]
        assert len(rows) == size
        seen += [item["row"].number for item in rows]
        if answer.context_data["more_url"]:
            answer = web.get(answer.context_data["more_url"], **HTMX)
            assert "<html" not in text(answer)
    assert seen == list(range(2, 122))
    assert answer.context_data["more_url"] == ""


@pytest.mark.parametrize(
    "path", ["/leads/import", "{here}/map", "{here}/options", "{here}/check", "{here}/check?rows=first", "{here}/rows/2"]
)
def test_query_count_is_flat(web, tenant, path, django_assert_max_num_queries):
    taken = []
    for rows in (1, 30):
        here = draft(web, b"Name,E-mail,Owner\n" + b"".join(b"N,bad,x@y.example\n" for _ in range(rows)))
        check(web, here, tenant)
        with django_assert_max_num_queries(20) as captured:
            assert web.get(path.format(here=here)).status_code == 200
        taken.append(len(captured))
    assert taken[0] == taken[1]


# --- rows ---


def test_mended_cell_is_judged_at_once_and_imported(web, tenant):
    here = draft(web)
    check(web, here, tenant)
    form = web.get(f"{here}/rows/3?column=1", **HTMX)
    assert 'value="bad"' in text(form)
    assert "<html" not in text(form)
    still = web.post(f"{here}/rows/3", {"column": "1", "cell-1": "worse"}, **HTMX)
    assert still.context_data["item"]["row"].wrong == "E-mail"
    good = web.post(f"{here}/rows/3", {"column": "1", "cell-1": "bob@acme.example"}, **HTMX)
    row = good.context_data["item"]["row"]
    assert (row.problem, row.mended, row.values["E-mail"]) == ("", {"E-mail"}, "bob@acme.example")
    assert "1 row mended" in text(good)
    assert operation_at(here, tenant).params["edits"] == {"3": {"E-mail": "bob@acme.example"}}
    assert "Something was changed since the check" in text(web.get(f"{here}/check"))
    again = check(web, here, tenant)
    assert (again.created, again.failed) == (3, 0)
    page = text(web.get(f"{here}/check"))
    assert "since the check" not in page
    assert "mended" in page
    assert start(web, here, tenant).created == 3
    assert leads(tenant)["Bob"].email == "bob@acme.example"


def test_row_left_out_is_skipped_unless_taken_in_again(web, tenant):
    here = draft(web)
    check(web, here, tenant)
    out = web.post(f"{here}/rows/2", {"action": "leave-out"}, **HTMX)
    assert "is-dropped" in text(out)
    web.post(f"{here}/rows/3", {"action": "leave-out"})
    back = web.post(f"{here}/rows/3", {"action": "take-in"})
    assert back.headers["Location"] == f"{here}/check"
    assert operation_at(here, tenant).params["edits"] == {"2": None}
    done = start(web, here, tenant)
    assert (done.created, done.skipped, done.failed) == (1, 1, 1)
    assert set(leads(tenant)) == {"Cid"}


def test_row_taken_in_again_is_as_the_check_saw_it(web, tenant):
    here = draft(web)
    web.post(f"{here}/rows/3", {"cell-0": "Bob", "cell-1": "worse", "cell-2": "20"})
    check(web, here, tenant)
    web.post(f"{here}/rows/3", {"action": "leave-out"})
    web.post(f"{here}/rows/3", {"action": "take-in"})
    assert operation_at(here, tenant).params["edits"] == {"3": {"E-mail": "worse"}}


def test_row_page_mends_without_scripts(web, tenant):
    here = draft(web)
    page = web.get(f"{here}/rows/3")
    assert [item["wrong"] for item in page.context["fields"]] == [False, True, False]
    wrong = web.post(f"{here}/rows/3", {"cell-0": "Bob", "cell-1": "nope", "cell-2": "20"}, follow=True)
    assert "Row 3: " in text(wrong)
    web.post(f"{here}/rows/3", {"cell-0": "Bobby", "cell-1": "bob@acme.example", "cell-2": "20"})
    assert operation_at(here, tenant).params["edits"] == {"3": {"E-mail": "bob@acme.example", "Name": "Bobby"}}
    web.post(f"{here}/check", {"action": "reset"})
    assert operation_at(here, tenant).params["edits"] == {}


def test_too_long_a_cell_comes_back_with_its_form(web, tenant):
    here = draft(web)
    answer = web.post(f"{here}/rows/3", {"column": "1", "cell-1": "x" * 5001}, **HTMX)
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (422, "this")
    assert "<form" in text(answer)
    assert web.post(f"{here}/rows/3", {"cell-1": "x" * 5001}).status_code == 422
    assert operation_at(here, tenant).params["edits"] == {}


def test_too_many_mended_rows_are_refused(web, tenant, monkeypatch):
    monkeypatch.setattr("leads.services.imports.MOST_EDITS", 1)
    here = draft(web)
    web.post(f"{here}/rows/2", {"action": "leave-out"})
    toast = web.post(f"{here}/rows/3", {"action": "leave-out"}, **HTMX)
    assert toast.status_code == 204
    assert "mend the file instead" in toast.headers["HX-Trigger"]
    cell = web.post(f"{here}/rows/3", {"column": "1", "cell-1": "b@acme.example"}, **HTMX)
    assert cell.status_code == 422
    assert "mend the file instead" in text(cell)
    monkeypatch.setattr("leads.services.imports.MOST_EDITS", 9)
    monkeypatch.setattr("leads.services.mending.MOST_MENDED_TEXT", 10)
    assert web.post(f"{here}/rows/3", {"cell-1": "longer@acme.example"}).status_code == 422
    assert operation_at(here, tenant).params["edits"] == {"2": None}


@pytest.mark.parametrize("row", [b"Ann,a@acme.example,extra", b'"Ann"x,a@acme.example'])
def test_row_that_cannot_be_told_apart_is_only_left_out(web, tenant, row):
    here = draft(web, b"Name,E-mail\n" + row + b"\nBob,b@acme.example\n")
    check(web, here, tenant)
    page = web.get(f"{here}/check")
    assert [(item["row"].number, item["row"].mendable) for item in page.context["rows"]] == [(2, False)]
    assert web.post(f"{here}/rows/2", {"cell-0": "x", "cell-1": "y"}).status_code == 422
    assert "can only be left out" in text(web.get(f"{here}/rows/2"))
    web.post(f"{here}/rows/2", {"action": "leave-out"})
    done = start(web, here, tenant)
    assert (done.created, done.skipped, done.failed) == (1, 1, 0)


@pytest.mark.parametrize("row", ["1", "0", "99", str(10**25)])
def test_row_that_was_not_shown_is_404(web, tenant, row):
    here = draft(web)
    check(web, here, tenant)
    assert web.get(f"{here}/rows/{row}").status_code == 404
    assert web.post(f"{here}/rows/{row}", {"action": "leave-out"}).status_code == 404
    assert operation_at(here, tenant).params["edits"] == {}


def test_row_leads_back_to_this_site_only(web):
    here = draft(web)
    answer = web.post(f"{here}/rows/2", {"action": "leave-out", "next": "https://evil.example/"})
    assert answer.headers["Location"] == f"{here}/check"


def test_wide_file_shows_its_fields_first(web):
    headers = [f"h{n}" for n in range(498)] + ["Name", "E-mail"]
    here = draft(web, (",".join(headers) + "\n" + ",".join("x" for _ in headers) + "\n").encode())
    answer = web.get(f"{here}/check")
    assert [header for _place, header in answer.context["columns"]][-2:] == ["Name", "E-mail"]
    assert (len(answer.context["columns"]), answer.context["further"]) == (24, 476)
    assert len(web.get(f"{here}/map").context["rows"]) == 500
    sent = mapped(*["-"] * 498, "name", "email", **{f"_{place}": "x" for place in range(500)})
    assert web.post(f"{here}/map", sent).status_code == 302


# --- the result ---


def test_list_shows_what_an_import_made_with_a_chip_to_remove(web, tenant, alice):
    make_lead(tenant, first_name="Other")
    here = draft(web, name="<b>people.csv")
    done = start(web, here, tenant)
    page = web.get(f"/operations/{done.pk}")
    assert f"/leads?operation={done.pk}" in text(page)
    for name, label in (("operation", "Made by operation"), ("changed_by", "Changed by operation")):
        answer = web.get(f"/leads?{name}={done.pk}&sort=-score")
        chip = answer.context["chips"][0]
        assert (chip["label"], chip["value"], chip["remove"]) == (label, done.title, "?sort=-score")
        assert "<b>people.csv" not in text(answer)
        assert (name, str(done.pk)) in answer.context["kept_by_filters"]
    assert web.get(f"/leads?operation={done.pk}").context["total"] == 2
    assert web.get("/leads?operation=999999").context["chips"][0]["value"] == "#999999"


def test_mapping_of_another_tenant_is_not_used(web, tenant, pages, mallory):
    here = draft(web)
    web.post(f"{here}/map", mapped("first_name", "-", "-"))
    start(web, here, tenant)
    theirs = draft(pages(mallory))
    assert "Mapped as last time" not in text(pages(mallory).get(f"{theirs}/map"))
    with inside(tenant.pk):
        assert ImportMapping.objects.count() == 1
