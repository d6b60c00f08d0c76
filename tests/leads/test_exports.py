"""Exports of leads: what is in the file, who gets it, and how it comes."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import time_machine
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from python_calamine import CalamineWorkbook

from audit.models import AuditEvent
from crm.errors import Forbidden
from crm.identity.models import Role
from crm.operations import runner
from crm.operations.models import Operation
from leads.services import exports
from leads.services.export_fields import DEFAULT, FIELDS, headings_of
from leads.services.exports import LeadExport, checked_export, delete_expired_exports, start_export
from leads.services.field_names import field_named
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, getattr(answer, "content", b"")
    return list(csv.DictReader(io.StringIO(content(answer).decode("utf-8-sig"))))


def export(client: Any, **query: Any) -> Any:
    return client.get("/api/leads/export", query)


# --- what is in it ---


def test_csv_holds_the_fields_asked_for_in_their_order(tenant, alice, api):
    make_lead(tenant, first_name="Ann", last_name="Archer", email="ann@acme.example", phone="(212) 555-0123", score=7, tags=["vip", "hot"],
              custom_fields={"budget": "$50K", "rooms": 3}, owner=alice)  # fmt: skip
    answer = export(api(alice), fields="email,name,phone,score,tags,assigned_to_name,priority,custom_fields.budget,custom_fields.rooms")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="leads-')
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert content(answer).decode().splitlines() == [
        "email,name,phone,score,tags,assigned_to_name,priority,custom_fields.budget,custom_fields.rooms",
        'ann@acme.example,Ann Archer,+12125550123,7,"vip, hot",Alice Archer,Medium,$50K,3',
    ]


def test_without_fields_all_but_the_rarely_wanted_come(tenant, alice, api):
    make_lead(tenant, first_name="Ann", created_at=datetime(2024, 1, 31, 9, tzinfo=UTC))
    row = rows_of(export(api(alice)))[0]
    assert list(row) == list(DEFAULT)
    assert (row["first_name"], row["status"], row["status_label"], row["created_at"]) == ("Ann", "new", "New", "2024-01-31T09:00:00Z")


def test_json_is_one_document_with_its_metadata(tenant, alice, api):
    for number in range(3):
        make_lead(tenant, first_name=f"Lead{number}", score=number, custom_fields={"a": [1, {"b": None}]})
    answer = export(
        api(alice), format="json", fields="first_name,score,custom_fields,last_contact", sort_by="score", sort_order="asc", status="new"
    )
    assert answer["Content-Type"] == "application/json"
    body = orjson.loads(content(answer))
    assert body["success"] is True
    assert body["data"]["leads"] == [
        {"first_name": f"Lead{number}", "score": number, "custom_fields": {"a": [1, {"b": None}]}, "last_contact": None}
        for number in range(3)
    ]
    told = body["data"]["export_metadata"]
    assert (told["total_records"], told["format"], told["filters_applied"], told["sort_by"]) == (3, "json", {"status": "new"}, "score")
    assert told["fields"] == ["first_name", "score", "custom_fields", "last_contact"]
    assert body["meta"]["requestId"] == answer["X-Request-ID"]


def test_json_of_nothing_is_still_a_document(tenant, alice, api):
    body = orjson.loads(content(export(api(alice), format="json")))
    assert (body["data"]["leads"], body["data"]["export_metadata"]["total_records"]) == ([], 0)


def test_xlsx_has_typed_cells_and_runs_no_formula(tenant, alice, api):
    tenant.time_zone = "America/New_York"
    tenant.save()
    make_lead(tenant, first_name="=1+1", last_name="http://a.example", notes="12", score=55, created_at=datetime(2024, 1, 31, 9, 30, tzinfo=UTC),
              conversion_probability=0.25)  # fmt: skip
    answer = export(
        api(alice), format="xlsx", fields="first_name,last_name,notes,score,created_at,conversion_probability", headings="labels"
    )
    data = content(answer)
    assert answer["Content-Type"] == exports.Spool.content_type
    assert int(answer["Content-Length"]) == len(data)
    rows = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()
    assert rows[0] == ["First name", "Last name", "Notes", "Score", "Created", "Conversion probability"]
    assert rows[1] == ["=1+1", "http://a.example", "12", 55.0, datetime(2024, 1, 31, 4, 30), 0.25]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_is_safe_against_formulas(tenant, alice, api, text):
    make_lead(tenant, first_name="Ann", notes=text, custom_fields={"x": text})
    row = rows_of(export(api(alice), fields="notes,custom_fields.x"))[0]
    assert row == {"notes": f"'{text}", "custom_fields.x": f"'{text}"}


def test_a_heading_is_no_formula_either(tenant, alice, api):
    make_lead(tenant, first_name="Ann", custom_fields={"=1": "a"})
    assert content(export(api(alice), fields="custom_fields.=1", headings="labels")).decode("utf-8-sig").startswith("'=1")


def test_an_export_for_people_can_be_imported_again(tenant):
    wanted = {"id", "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state",
              "country", "notes", "tags", "priority", "lead_source", "created_at"}  # fmt: skip
    headings = dict(zip(FIELDS, headings_of(tuple(FIELDS), activities=False), strict=True))
    assert {name: field_named(headings[name]) for name in wanted} == {name: name for name in wanted}
    assert field_named(headings["status_label"]) == "status"
    assert field_named(headings["assigned_to_name"]) == "owner"
    assert field_named(headings["next_follow_up"]) == "next_follow_up_at"


def test_activity_summary_counts_what_the_timeline_shows(tenant, alice, api):
    quiet = make_lead(tenant, first_name="Quiet", created_at=datetime(2024, 1, 1, tzinfo=UTC))
    busy = make_lead(tenant, first_name="Busy")
    client = api(alice)
    for title in ("One", "Two"):
        assert client.put(f"/api/leads/{busy.pk}", {"title": title}).status_code == 200
    rows = {row["id"]: row for row in rows_of(export(client, fields="id", include_activities="true"))}
    assert rows[str(quiet.pk)] == {
        "id": str(quiet.pk), "activity_summary.total": "1", "activity_summary.changes": "0", "activity_summary.arrivals": "0",
        "activity_summary.last_at": "2024-01-01T00:00:00Z", "activity_summary.last_type": "lead_created",
    }  # fmt: skip
    told = rows[str(busy.pk)]
    assert (told["activity_summary.total"], told["activity_summary.changes"], told["activity_summary.last_type"]) == (
        "3",
        "2",
        "lead_updated",
    )
    timeline = client.get(f"/api/leads/{busy.pk}").json()["data"]["timeline"]
    assert len(timeline) == 3


# --- which leads ---


def test_filters_stand_beside_it_or_within_it_and_narrow_alike(tenant, alice, api):
    make_lead(tenant, first_name="Ann", priority=3, tags=["vip"])
    make_lead(tenant, first_name="Ben", priority=1)
    make_lead(tenant, first_name="Cid", priority=3, status="won")
    client = api(alice)
    ways = (
        {"priority": "high", "status": "new"},
        {"filters": '{"priority": ["High"], "status": ["new", "qualified"]}'},
        {"filters": "priority=high&status=new"},
        {"filters": '{"priority": "high"}', "tags": "vip"},
    )
    for query in ways:
        assert [row["first_name"] for row in rows_of(export(client, fields="first_name", **query))] == ["Ann"], query


def test_deleted_leads_come_when_asked_for(tenant, alice, api):
    make_lead(tenant, first_name="Ann")
    make_lead(tenant, first_name="Gone", deleted_at=timezone.now())
    client = api(alice)
    assert {row["first_name"] for row in rows_of(export(client))} == {"Ann"}
    assert {row["first_name"] for row in rows_of(export(client, include_deleted="true"))} == {"Ann", "Gone"}


def test_max_records_and_ids_bound_it(tenant, alice, api):
    leads = [make_lead(tenant, first_name=f"Lead{number}", score=number) for number in range(5)]
    client = api(alice)
    assert [row["score"] for row in rows_of(export(client, sort_by="score", max_records=2))] == ["4", "3"]
    ids = f"{leads[1].pk},{leads[3].pk}"
    assert [row["id"] for row in rows_of(export(client, ids=ids, sort_by="score", fields="id"))] == [str(leads[3].pk), str(leads[1].pk)]


def test_pieces_join_without_gap_or_repeat(tenant, alice, api, monkeypatch):
    monkeypatch.setattr(exports, "CHUNK_ROWS", 3)
    made = {str(make_lead(tenant, first_name=f"Lead{number}", score=number % 2).pk) for number in range(11)}
    client = api(alice)
    for query in ({"sort_by": "score"}, {"sort_by": "next_follow_up", "sort_order": "asc"}):
        assert {row["id"] for row in rows_of(export(client, fields="id", **query))} == made
    body = orjson.loads(content(export(client, format="json", fields="id", max_records=7)))
    assert len({lead["id"] for lead in body["data"]["leads"]}) == body["data"]["export_metadata"]["total_records"] == 7


def test_a_rep_with_the_permission_exports_what_they_see(tenant, alice, bob, api):
    make_lead(tenant, first_name="Mine", owner=bob)
    make_lead(tenant, first_name="Nobodys")
    make_lead(tenant, first_name="Hers", owner=alice)
    with acting(bob) as by:
        able = replace(by, capabilities=by.capabilities | {"leads.export_leads"})
        wanted = checked_export(export=LeadExport(filters={}, fields=("first_name",)), by=able)
        data = b"".join(exports.stream_export(export=wanted, by=able).content).decode()
        with pytest.raises(Forbidden):
            checked_export(export=wanted, by=by)
    assert set(data.split()) == {"first_name", "Mine", "Nobodys"}


# --- refusals ---


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"fields": "email,shoe_size"}, "fields"),
        ({"fields": "custom_fields."}, "fields"),
        ({"format": "pdf"}, "format"),
        ({"filters": "{broken"}, "filters"),
        ({"filters": '{"shoe_size": 1}'}, "filters.shoe_size"),
        ({"filters": '{"priority": "soon"}'}, "priority"),
        ({"sort_by": "shoe_size"}, "sort_by"),
        ({"sort_order": "up"}, "sort_order"),
        ({"max_records": "0"}, "max_records"),
        ({"ids": "1,x"}, "ids"),
        ({"include_deleted": "maybe"}, "include_deleted"),
        ({"headings": "loud"}, "headings"),
    ],
)
def test_what_cannot_be_read_is_400_by_name(tenant, alice, api, query, field):
    answer = export(api(alice), **query)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == [field]


def test_a_rep_may_not_export(bob, api):
    assert export(api(bob)).status_code == 403


def test_five_a_minute(tenant, alice, api, rate_limits):
    client = api(alice)
    answers = [export(client, max_records=1).status_code for _ in range(6)]
    assert sorted(answers) == [200] * 5 + [429]


def test_hidden_fields_of_ones_own_do_not_leave(tenant, alice, api):
    make_field(tenant, "number", label="Salary", visible_to=["support"])
    make_lead(tenant, first_name="Ann", custom_fields={"salary": 1, "size": 2})
    client = api(alice)
    assert export(client, fields="custom_fields.salary").status_code == 400
    assert orjson.loads(content(export(client, format="json", fields="custom_fields")))["data"]["leads"] == [{"custom_fields": {"size": 2}}]


# --- the list's own filters ---

SCORED = '{"all":[{"field":"score","op":"at_least","value":50}]}'


@pytest.mark.parametrize(
    "query",
    [
        {"filter": SCORED},
        {"cf_rooms_min": "4"},
        {"filters": orjson.dumps({"filter": orjson.loads(SCORED)}).decode()},
        {"filters": orjson.dumps({"filter": SCORED}).decode()},
        {"filters": '{"cf_rooms": 5}'},
        {"filters": "cf_rooms_min=4&status="},
        {"q": "ann", "assigned_user_id": "none"},
    ],
)
def test_every_filter_of_the_list_narrows_the_export(tenant, alice, api, pages, query):
    make_field(tenant, "number", label="Rooms", key="rooms")
    make_lead(tenant, first_name="Ann", score=70, custom_fields={"rooms": 5})
    make_lead(tenant, first_name="Ben", score=10, custom_fields={"rooms": 3})
    assert [row["first_name"] for row in rows_of(export(api(alice), fields="first_name", **query))] == ["Ann"]
    if "filters" not in query:
        asked = pages(alice).get("/leads/export", query)
        assert (asked.status_code, "<strong>1 lead</strong>" in asked.content.decode()) == (200, True)
        answer = pages(alice).post("/leads/export", {"query": urlencode(query), "format": "csv", "field": ["first_name"]})
        assert [row["First name"] for row in rows_of(answer)] == ["Ann"]


def test_the_page_says_what_the_list_asks(tenant, alice, pages):
    make_field(tenant, "number", label="Rooms", key="rooms")
    text = pages(alice).get("/leads/export", {"filter": SCORED, "cf_rooms_min": "4"}).content.decode()
    assert all(part in text for part in ("Conditions", "Score", "Rooms from"))
    assert "&quot;field&quot;" not in text.split("of the list with")[1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"stauts": "lost"}, "stauts"),
        ({"cf_salary": "1"}, "cf_salary"),
        ({"filters": '{"stauts": "lost"}'}, "filters.stauts"),
        ({"filters": '{"cf_salary": 1}'}, "filters.cf_salary"),
        ({"filters": "[1]"}, "filters"),
        ({"filters": '"status"'}, "filters"),
        ({"filters": "lost"}, "filters"),
        ({"filter": SCORED.replace("score", "cf_salary")}, "filter"),
    ],
)
def test_what_is_no_filter_exports_nothing(tenant, alice, api, query, field):
    """A misspelt name, or one of a field that the role may not see, would export everything."""
    make_field(tenant, "number", label="Salary", visible_to=["support"])
    answer = export(api(alice), **query)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


# --- audit ---


def test_the_audit_log_says_who_took_what_and_how_much(tenant, alice, api):
    make_lead(tenant, first_name="Ann")
    content(export(api(alice), fields="email", status="new"))
    with inside(tenant.pk):
        act = AuditEvent.objects.get(action="leads_exported")
    assert act.user_id == alice.pk
    assert act.details == {
        "format": "csv",
        "filters": {"status": "new"},
        "fields": ["email"],
        "include_deleted": False,
        "max_records": 10_000,
        "rows": 1,
    }


def test_a_stream_that_nobody_reads_is_on_record_without_its_rows(tenant, alice, api):
    make_lead(tenant, first_name="Ann")
    export(api(alice))
    with inside(tenant.pk):
        assert "rows" not in AuditEvent.objects.get(action="leads_exported").details


# --- as an operation ---


def started(user: Any, **wanted: Any) -> Operation:
    with acting(user) as by:
        export = checked_export(export=LeadExport(**{"filters": {}, "fields": ("id", "first_name"), **wanted}), by=by)
        return start_export(export=export, by=by)


def finished(user: Any, **wanted: Any) -> Operation:
    operation = started(user, **wanted)
    runner.run(operation.pk)
    return reread(operation)


def reread(operation: Operation) -> Operation:
    with inside(operation.tenant_id):
        return Operation.objects.get(pk=operation.pk)


@pytest.mark.parametrize("format", ["csv", "json", "xlsx"])
def test_an_operation_writes_the_same_file(tenant, alice, api, format, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(exports, "CHUNK_ROWS", 2)
    names = {make_lead(tenant, first_name=f"Lead{number}").first_name for number in range(5)}
    with django_capture_on_commit_callbacks(execute=True):
        operation = finished(alice, format=format)
    assert (operation.state, operation.done, operation.total, operation.error) == ("done", 5, 5, "")
    data = content(api().get(operation.result["download_url"].removeprefix(settings_url())))
    assert len(data) == operation.result["bytes"]
    if format == "xlsx":
        found = {row[1] for row in CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()[1:]}
    elif format == "json":
        body = orjson.loads(data)
        assert body["data"]["export_metadata"]["total_records"] == 5
        found = {lead["first_name"] for lead in body["data"]["leads"]}
    else:
        found = {row["first_name"] for row in csv.DictReader(io.StringIO(data.decode()))}
    assert found == names
    assert default_storage.listdir(f"tenant-{tenant.pk}/operations/exports")[1] == []


def settings_url() -> str:
    return settings.SITE_URL


def test_a_killed_workers_file_goes_on_where_it_was_committed(tenant, alice, monkeypatch):
    """The second piece was written and not committed; another worker writes it once more."""
    monkeypatch.setattr(exports, "CHUNK_ROWS", 2)
    for number in range(5):
        make_lead(tenant, first_name=f"Lead{number}")
    operation = started(alice)
    part = exports._part_name(operation)
    runner.run(operation.pk, seconds=0)
    with default_storage.open(part, "ab") as file:
        file.write(b"half a piece that nobody committed")
    runner.run(operation.pk)
    operation = reread(operation)
    with operation.file.open("rb") as file:
        rows = list(csv.DictReader(io.StringIO(file.read().decode())))
    assert sorted(row["first_name"] for row in rows) == [f"Lead{number}" for number in range(5)]


def test_a_part_that_is_gone_is_written_anew(tenant, alice, monkeypatch):
    monkeypatch.setattr(exports, "CHUNK_ROWS", 2)
    for number in range(5):
        make_lead(tenant, first_name=f"Lead{number}")
    operation = started(alice)
    runner.run(operation.pk, seconds=0)
    default_storage.delete(exports._part_name(operation))
    runner.run(operation.pk)
    operation = reread(operation)
    assert (operation.state, operation.done) == ("done", 5)
    with operation.file.open("rb") as file:
        assert len(file.read().splitlines()) == 6


def test_large_and_asked_for_ones_are_202(tenant, alice, api, monkeypatch):
    for number in range(3):
        make_lead(tenant, first_name=f"Lead{number}")
    client = api(alice)
    answer = export(client, **{"async": "true"})
    assert answer.status_code == 202
    assert answer.json()["data"]["kind"] == "leads.export"
    monkeypatch.setattr(exports, "MOST_STREAMED", 2)
    assert export(client, max_records=2).status_code == 200
    assert export(client, max_records=50).status_code == 202
    monkeypatch.setattr(exports, "MOST_STREAMED_XLSX", 2)
    assert export(client, format="xlsx", max_records=50).status_code == 202


def test_the_link_ends_with_its_time(tenant, alice, api):
    operation = finished(alice)
    path = operation.result["download_url"].removeprefix(settings_url())
    assert content(api().get(path)).startswith(b"id,first_name")
    for bad in (path + "x", path[:-3], "/api/leads/export/download/abc"):
        assert api().get(bad).status_code == 404
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        answer = api().get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "EXPORT_EXPIRED")


def test_the_link_ends_with_its_makers_rights(tenant, alice, api):
    operation = finished(alice)
    path = operation.result["download_url"].removeprefix(settings_url())
    alice.is_active = False
    with inside(tenant.pk):
        alice.save()
    assert api().get(path).status_code == 410


def test_files_are_deleted_when_their_time_is_over(tenant, alice):
    make_lead(tenant, first_name="Ann")
    operation, cancelled = finished(alice), started(alice)
    runner.run(cancelled.pk, seconds=0)
    name = operation.file.name
    assert delete_expired_exports() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert delete_expired_exports() >= 1
        assert delete_expired_exports() == 0
    assert not default_storage.exists(name)
    assert "download_url" not in reread(operation).result


def test_an_operation_of_somebody_without_the_right_any_more_fails(tenant, alice):
    operation = started(alice)
    with inside(tenant.pk):
        alice.role = Role.objects.get(code="sales_rep")
        alice.save()
    runner.run(operation.pk)
    assert reread(operation).state == "failed"


# --- pages ---


def test_page_takes_the_lists_query_over(tenant, alice, pages):
    make_lead(tenant, first_name="Ann", priority=3, custom_fields={"budget": 1})
    make_lead(tenant, first_name="Ben", priority=1)
    client = pages(alice)
    text = client.get("/leads/export?priority=high&sort=-score&col=email&col=owner").content.decode()
    assert "1 lead" in text
    assert 'value="custom_fields.budget"' in text
    assert 'value="email" checked' in text
    assert 'value="assigned_to_name" checked' in text
    assert 'value="city" checked' not in text
    body = {"query": "priority=high&sort=-score", "format": "csv", "field": ["first_name", "custom_fields.budget"]}
    answer = client.post("/leads/export", body)
    assert content(answer).decode("utf-8-sig").splitlines() == ["First name,budget", "Ann,1"]


def test_page_says_what_is_wrong(tenant, alice, pages):
    client = pages(alice)
    answer = client.post("/leads/export", {"query": "", "format": "csv"})
    assert answer.status_code == 422
    assert "Choose at least one column." in answer.content.decode()
    assert client.post("/leads/export", {"query": "", "format": "pdf", "field": "email"}).status_code == 422
    assert "must be one of" in client.get("/leads/export?priority=soon").content.decode().lower()


def test_page_of_a_large_export_leads_to_its_operation_and_file(tenant, alice, bob, pages, monkeypatch):
    monkeypatch.setattr(exports, "MOST_STREAMED", 1)
    for number in range(3):
        make_lead(tenant, first_name=f"Lead{number}")
    client = pages(alice)
    answer = client.post("/leads/export", {"query": "", "format": "csv", "field": "first_name"})
    with inside(tenant.pk):
        operation = Operation.objects.get(kind="leads.export")
    assert answer.headers["Location"] == f"/operations/{operation.pk}"
    assert client.get(f"/leads/exports/{operation.pk}/download").status_code in (302, 404, 410)
    runner.run(operation.pk)
    text = client.get(f"/operations/{operation.pk}").content.decode()
    assert f"/leads/exports/{operation.pk}/download" in text
    assert "/api/leads/export/download/" in text
    assert content(client.get(f"/leads/exports/{operation.pk}/download")).decode("utf-8-sig").splitlines()[0] == "First name"
    assert pages(bob).get(f"/leads/exports/{operation.pk}/download").status_code == 403


def test_list_offers_the_export_to_who_may(tenant, alice, bob, pages):
    assert "/leads/export?" in pages(alice).get("/leads?status=new").content.decode()
    assert "/leads/export" not in pages(bob).get("/leads").content.decode()


def test_another_tenants_leads_and_files_are_not_there(tenant, alice, mallory, api, pages):
    make_lead(mallory.tenant, first_name="Vic")
    foreign = finished(mallory)
    assert rows_of(export(api(alice))) == []
    assert pages(alice).get(f"/leads/exports/{foreign.pk}/download").status_code == 404


def test_number_of_queries_does_not_grow_with_rows(tenant, alice):
    def run() -> int:
        with acting(alice) as by:
            wanted = checked_export(export=LeadExport(filters={}, activities=True), by=by)
            with CaptureQueriesContext(connection) as queries:
                b"".join(exports.stream_export(export=wanted, by=by).content)
        return len(queries)

    make_lead(tenant, first_name="Ann")
    few = run()
    for number in range(20):
        make_lead(tenant, first_name=f"Lead{number}", owner=alice)
    assert run() == few
