"""Many leads by the API: a JSON list answered at once, and files by the steps of the wizard."""

import io
import json

import pytest
import xlsxwriter
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import MULTIPART_CONTENT

from crm.operations import runner
from crm.operations.models import Operation
from leads.api import imports
from leads.models import Lead
from tests.factories import inside, make_lead, make_user

LIST = "/api/leads/bulk/import"
DOCUMENTED = [
    {"name": "Alice Johnson", "email": "alice@company.com", "company": "Tech Innovations", "phone": "+1-555-111-2222", "title": "Product Manager", "industry": "Technology"},
    {"name": "Bob Wilson", "email": "bob@enterprise.com", "company": "Enterprise Solutions", "phone": "+1-555-333-4444", "title": "CTO"},
]  # fmt: skip


@pytest.fixture
def client(alice, api):
    return api(alice)


def post(client, leads, **options):
    return client.post(LIST, {"leads": leads, "options": options})


def by_name(tenant) -> dict[str, Lead]:
    with inside(tenant.pk):
        return {lead.first_name: lead for lead in Lead.objects.all()}


def upload(client, content: bytes, *, name: str = "people.csv", start: bool = False, **settings):
    body = {"file": SimpleUploadedFile(name, content), "settings": json.dumps(settings), "start": str(start).lower()}
    return client.post("/api/imports", body, content_type=MULTIPART_CONTENT)


# --- the JSON list ---


def test_the_documented_example(client, tenant):
    answer = post(client, DOCUMENTED, skip_duplicates=False, merge_duplicates=True, auto_enrich=True, batch_size=100)
    data = answer.json()["data"]
    operation = data.pop("operation_id")
    assert (answer.status_code, data) == (
        200,
        {
            "total_processed": 2, "successful": 2, "failed": 0, "duplicates_found": 0, "enrichment_attempted": 2, "enrichment_successful": 0,
            "success_rate": "100.00", "enrichment_rate": "0.00", "errors": [],
        },
    )  # fmt: skip
    alice = by_name(tenant)["Alice"]
    assert (alice.full_name, alice.phone, alice.title, alice.operation_id) == (
        "Alice Johnson",
        "+15551112222",
        "Product Manager",
        operation,
    )


def test_bad_leads_are_listed_by_their_place_and_stop_no_other(client, tenant):
    leads = [
        {"name": "A", "email": "bad"},
        {"name": "B", "tags": ["x", "y"], "shoe": {"size": 42}},
        {},
        {"email": "c@x.example", "priority": "extremely"},
        {"name": "E", "score": 5},
    ]
    data = post(client, leads).json()["data"]
    assert [(error["index"], error["field"]) for error in data["errors"]] == [(0, "email"), (2, "name"), (3, "priority")]
    assert data["errors"][0]["lead"] == {"name": "A", "email": "bad"}
    assert (data["total_processed"], data["successful"], data["success_rate"]) == (5, 2, "40.00")
    found = by_name(tenant)
    assert (found["B"].tags, found["B"].custom_fields, found["E"].custom_fields) == (["x", "y"], {"shoe": '{"size":42}'}, {"score": "5"})


@pytest.mark.parametrize(
    ("options", "successful", "company"),
    [({"skip_duplicates": True}, 2, ""), ({"merge_duplicates": True}, 2, "Tech Innovations"), ({}, 1, "")],
)
def test_duplicates_are_skipped_merged_or_refused(client, tenant, options, successful, company):
    make_lead(tenant, first_name="There", email="ALICE@company.com")
    data = post(client, DOCUMENTED, **options).json()["data"]
    assert (data["successful"], data["duplicates_found"]) == (successful, 1)
    there = by_name(tenant)["There"]
    assert (there.company, there.last_name) == (company, "Johnson" if company else there.last_name)


def test_a_long_list_runs_as_an_operation(client, tenant, monkeypatch):
    monkeypatch.setattr(imports, "AT_ONCE", 1)
    answer = post(client, DOCUMENTED)
    assert answer.status_code == 202
    runner.run(answer.json()["data"]["id"])
    read = client.get(f"/api/operations/{answer.json()['data']['id']}").json()["data"]
    assert (read["state"], read["counters"]["created"]) == ("done", 2)


@pytest.mark.parametrize(
    "body", [{}, {"leads": []}, {"leads": "x"}, {"leads": [1]}, {"leads": [{"name": "A"}], "options": {"batch_size": 0}}, []]
)
def test_a_body_that_is_none_is_refused_by_field(client, body):
    answer = client.post(LIST, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"]


def test_a_list_of_too_many_keys_is_refused(client):
    answer = post(client, [{f"k{number}": "x" for number in range(600)}])
    assert (answer.status_code, "leads" in json.dumps(answer.json())) == (400, True)


def test_reps_may_not(tenant, api, bob):
    assert post(api(bob), DOCUMENTED).status_code == 403


# --- files ---


def test_a_file_is_uploaded_set_tried_out_and_run(client, tenant):
    make_lead(tenant, first_name="Known", email="known@x.example")
    answer = upload(
        client, "Wer;Post;Größe\nKnown;known@x.example;1\nNeu;neu@x.example;2\nBad;bad;3\nDrop;drop@x.example;4\n".encode("cp1252")
    )
    draft = answer.json()["data"]
    assert (answer.status_code, draft["headers"], draft["delimiter"], draft["state"]) == (201, ["Wer", "Post", "Größe"], ";", "draft")
    url = f"/api/imports/{draft['id']}"
    body = {
        "mapping": {"Wer": "name", "Post": "email", "Größe": "custom:size"},
        "options": {"on_duplicate": "update", "match_by": "email", "tags": ["fair"]},
        "edits": {"4": {"Post": "mended@x.example"}, "5": None},
    }
    assert client.patch(url, body).json()["data"]["edited_rows"] == 2
    check = client.post(f"{url}/check").json()["data"]
    runner.run(check["id"])
    tried = client.get(f"/api/operations/{check['id']}").json()["data"]["counters"]
    with inside(tenant.pk):
        assert Lead.objects.count() == 1
    run = client.post(f"{url}/run")
    assert run.status_code == 202
    runner.run(draft["id"])
    done = client.get(f"/api/operations/{draft['id']}").json()["data"]["counters"]
    assert done == tried == {"done": 4, "created": 2, "updated": 1, "skipped": 1, "failed": 0}
    found = by_name(tenant)
    assert (found["Known"].custom_fields, found["Known"].tags, found["Bad"].email) == ({"size": "1"}, ["fair"], "mended@x.example")
    assert client.get(f"/api/leads?operation={draft['id']}&page=1").json()["data"]["pagination"]["total_items"] == 2
    assert client.get(f"/api/leads?changed_by={draft['id']}&page=1").json()["data"]["pagination"]["total_items"] == 1
    skipped = client.get(f"/api/operations/{draft['id']}/errors?outcome=skipped").json()["data"]
    assert [row["row"] for row in skipped] == [5]
    assert client.post(f"{url}/run").status_code == 409


def test_a_file_may_start_at_once_and_its_mapping_is_remembered(client, tenant):
    content = b"Kontakt,Firma\nJane,Acme\n"
    answer = upload(client, content, start=True, mapping={"Kontakt": "name", "Firma": "company"})
    assert answer.status_code == 202
    runner.run(answer.json()["data"]["id"])
    assert by_name(tenant)["Jane"].company == "Acme"
    again = upload(client, b"firma,KONTAKT\nAcme,Joe\n").json()["data"]
    assert again["headers"] == ["firma", "KONTAKT"]
    assert upload(client, content).json()["data"]["mapping"] == {"Kontakt": "name", "Firma": "company"}


@pytest.mark.parametrize(
    ("content", "given", "field"),
    [
        (b"", {}, "file"),
        (b"%PDF-1.4", {}, "file"),
        (b"Name\nA\n", {"mapping": {"Name": "dreams"}}, "mapping"),
        (b"Name,Other\nA,B\n", {"mapping": {"Name": "email", "Other": "email"}}, "mapping"),
        (b"Name\nA\n", {"options": {"on_duplicate": "explode"}}, "options"),
        (b"Name\nA\n", {"options": {"match_by": "id"}}, "match_by"),
        (b"Name\nA\n", {"options": {"owner_id": 10**15}}, "owner"),
        (b"Name\nA\n", {"edits": {"2": "x"}}, "edits"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(client, content, given, field):
    answer = upload(client, content, **given)
    assert answer.status_code == 400
    assert field in json.dumps(answer.json()["error"])


def test_drafts_are_their_authors_own(client, tenant, next_door, api):
    draft = upload(client, b"Name\nA\n").json()["data"]["id"]
    for other in (make_user(tenant), make_user(next_door)):
        for method, path in (("get", ""), ("patch", ""), ("post", "/check"), ("post", "/run")):
            assert getattr(api(other), method)(f"/api/imports/{draft}{path}").status_code == 404
    with inside(tenant.pk):
        assert Operation.objects.get(pk=draft).state == "draft"


def test_a_sheet_of_a_workbook_is_named_or_the_first(client, tenant):
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    for name in ("Notes", "People"):
        book.add_worksheet(name).write_column(0, 0, ["Name", f"From {name}"])
    book.close()

    def headers(**more):
        body = {"file": SimpleUploadedFile("people.xlsx", content.getvalue()), **more}
        return client.post("/api/imports", body, content_type=MULTIPART_CONTENT)

    assert headers().json()["data"]["samples"] == [["From Notes"]]
    assert headers(sheet="People").json()["data"]["samples"] == [["From People"]]
    refused = headers(sheet="Leads")
    assert refused.status_code == 400
    assert "It has: Notes, People." in refused.json()["message"]


def test_a_listed_lead_may_have_an_address_and_further_fields(client, tenant):
    lead = {"name": "Ann", "address": {"city": "Rome", "country": "IT"}, "customFields": {"budget_range": "100k", "name": "odd"}}
    assert post(client, [lead]).json()["data"]["successful"] == 1
    ann = by_name(tenant)["Ann"]
    assert (ann.city, ann.country, ann.custom_fields) == ("Rome", "IT", {"budget_range": "100k", "name": "odd"})
