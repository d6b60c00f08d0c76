"""S2-06 and the other lists that are brought in: CSV files, do-not-call lists, saved views."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from audit.services.undo import undo_operation
from crm.operations import runner
from crm.operations.models import Operation
from dialer.enums import Disposition, EntryStatus
from dialer.models import DoNotCall, QueueEntry
from dialer.services import filling
from leads.models import Lead
from tests.dialer.api_parts import make_agent, make_entry
from tests.factories import acting, inside, make_lead

HEAD = "first_name,phone,company,position,notes,schedule_at\n"


@pytest.fixture
def agent(tenant):
    tenant.region = "US"
    tenant.save()
    return make_agent(tenant)


def send(client, text, agent, path="leads/csv-import", name="leads.csv"):
    data = {"file": SimpleUploadedFile(name, text if isinstance(text, bytes) else text.encode())}
    query = f"?agent_id={agent.public_id}" if agent else ""
    return post_parts(client, f"/api/v1/{path}{query}", data)


def post_parts(client, path, data):
    return client.generic("POST", path, encode_multipart(BOUNDARY, data), content_type=MULTIPART_CONTENT)


def test_the_documents_file_is_taken_with_national_numbers(alice, agent, api):
    text = (
        HEAD + "John,+14155552671,Acme Corp,Manager,Interested in premium,2025-06-24T14:00:00Z\n"
        "Jane,415-555-2672,TechCo,Director,Follow up next week,\n"
        "Bob,(415) 555-invalid,StartupInc,CEO,High priority,\n"
    )
    answer = send(api(alice), text, agent)
    body = answer.json()
    assert answer.status_code == 200
    assert {name: body[name] for name in ("success_count", "error_count", "errors", "total_processed")} == {
        "success_count": 2,
        "error_count": 1,
        "errors": [{"row": 4, "error": "Invalid phone number format: (415) 555-invalid"}],
        "total_processed": 3,
    }
    with inside(alice.tenant_id):
        john, jane = QueueEntry.objects.order_by("pk")
        assert (john.first_name, john.phone, f"{john.schedule_at:%Y-%m-%dT%H:%M}") == ("John", "+14155552671", "2025-06-24T14:00")
        assert john.custom_fields == {"company": "Acme Corp", "position": "Manager", "notes": "Interested in premium"}
        assert (jane.phone, jane.lead.company, jane.created_via) == ("+14155552672", "TechCo", "import")


def test_bad_rows_are_named_and_stop_nobody(alice, agent, api):
    make_entry(agent, phone="+14155552671")
    known = make_lead(alice.tenant, first_name="Kim", phone="+14155552680", company="Known")
    text = (
        "First Name;Phone;Schedule_At;Source\n"
        "John;+14155552671;;web\n"
        "Jane;;;web\n"
        ";415-555-2673;;web\n"
        "Bob;415-555-2674;tomorrow;web\n"
        "Kim;415-555-2680;;web\n"
        "Kim;(415) 555 2680;;web\n"
    )
    body = send(api(alice), text, agent).json()
    assert body["errors"] == [
        {"row": 2, "error": "Lead with this phone number already exists for this agent"},
        {"row": 3, "error": "Phone number is required"},
        {"row": 4, "error": "First name is required"},
        {"row": 5, "error": "Invalid schedule_at: tomorrow"},
        {"row": 7, "error": "Lead with this phone number already exists for this agent"},
    ]
    assert (body["success_count"], body["error_count"], body["total_processed"]) == (1, 5, 6)
    with inside(alice.tenant_id):
        assert QueueEntry.objects.get(first_name="Kim").lead_id == known.pk
        assert Lead.objects.get(pk=known.pk).company == "Known"


@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        ("name,number\nJohn,1\n", 422, "The file has no column “first_name”."),
        ("first_name,mail\nJohn,1\n", 422, "The file has no column “phone”."),
        (b"", 400, "The file is empty."),
        (b"%PDF-1.4 nothing", 400, "This is not a table of text. Save the sheet as XLSX or CSV and try again."),
    ],
)
def test_what_is_no_list_is_refused(alice, agent, api, text, status, detail):
    answer = send(api(alice), text, agent)
    found = answer.json()["detail"]
    assert (answer.status_code, found[0]["msg"] if isinstance(found, list) else found) == (status, detail)
    with inside(alice.tenant_id):
        assert not Operation.objects.exists()


def test_empty_cells_beyond_the_headers_are_passed_over(alice, agent, api):
    body = send(api(alice), "first_name,phone\nJohn,+14155552671,\nJane,+14155552672, ,\nBob,+14155552673,,x\n", agent).json()
    assert (body["success_count"], body["errors"]) == (2, [{"row": 4, "error": "The row has 4 cells under 2 headers."}])


def test_file_and_agent_are_asked_for_by_their_places(alice, agent, api):
    client = api(alice)
    answer = post_parts(client, f"/api/v1/leads/csv-import?agent_id={agent.public_id}", {})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    answer = send(client, HEAD, None)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "agent_id"])
    assert client.post(f"/api/v1/leads/csv-import?agent_id={agent.public_id}", {}).status_code == 415


def test_a_long_file_is_an_operation_with_the_same_counters(alice, agent, api):
    rows = io.StringIO()
    rows.write("first_name,phone\n")
    for number in range(1001):
        rows.write(f"Person {number},+1415555{number:04d}\n")
    rows.write("Bad,123\n")
    client = api(alice)
    answer = send(client, rows.getvalue(), agent)
    body = answer.json()
    assert (answer.status_code, body["state"], body["total_processed"]) == (202, "waiting", 0)
    runner.run(body["operation_id"])
    done = client.get(body["status_url"]).json()
    assert (done["state"], done["success_count"], done["error_count"], done["total_processed"]) == ("done", 1001, 1, 1002)
    assert done["errors"] == [{"row": 1003, "error": "Invalid phone number format: 123"}]
    assert client.get("/api/v1/imports/999999").json() == {"detail": "Import not found"}


def test_an_import_is_taken_back_but_for_what_was_called_for(alice, agent, api):
    body = send(api(alice), HEAD + "John,+14155552671,,,,\nJane,+14155552672,,,,\n", agent).json()
    with acting(alice) as by:
        QueueEntry.objects.filter(first_name="Jane").update(disposition=Disposition.COMPLETED, status=EntryStatus.DONE)
        undo = undo_operation(operation=Operation.objects.get(pk=body["operation_id"]), by=by)
    runner.run(undo.pk)
    with inside(alice.tenant_id):
        assert list(QueueEntry.objects.filter(deleted_at=None).values_list("first_name", flat=True)) == ["Jane"]
        assert not Lead.objects.live().filter(first_name="John").exists()


def test_reps_do_not_import(bob, agent, api):
    assert send(api(bob), HEAD, agent).status_code == 403


# --- do-not-call lists ---


def test_a_list_of_numbers_not_to_call_is_imported_and_taken_back(alice, agent, api):
    client = api(alice)
    body = send(
        client, "Phone,until,reason\n415-555-2671,,Asked\n415-555-2672,2099-01-31,\n415-555-2671,,\nx,,\n", None, path="do-not-call/import"
    ).json()
    assert (body["success_count"], body["skipped_count"], body["errors"]) == (2, 1, [{"row": 5, "error": "Invalid phone number format: x"}])
    with inside(alice.tenant_id):
        assert set(DoNotCall.objects.values_list("phone", "agent_id", "reason")) == {
            ("+14155552671", None, "Asked"),
            ("+14155552672", None, ""),
        }
    listed = client.get("/api/v1/do-not-call?search=555-2672").json()
    assert [(row["phone"], row["until"]) for row in listed["numbers"]] == [("+14155552672", "2099-01-31")]
    with acting(alice) as by:
        undo = undo_operation(operation=Operation.objects.get(pk=body["operation_id"]), by=by)
    runner.run(undo.pk)
    assert client.get("/api/v1/do-not-call").json()["total"] == 0


def test_numbers_are_listed_and_taken_off_one_by_one(alice, bob, agent, api):
    client = api(alice)
    added = api(bob).post("/api/v1/do-not-call", {"phone": "(415) 555-2671", "reason": "Asked", "agent_id": str(agent.public_id)}).json()
    assert (added["phone"], added["agent_id"], added["until"]) == ("+14155552671", str(agent.public_id), None)
    again = client.post("/api/v1/do-not-call", {"phone": "+14155552671", "agent_id": str(agent.public_id), "until": "2099-01-01"}).json()
    assert (again["id"], again["until"], again["reason"]) == (added["id"], None, "Asked")
    assert client.post("/api/v1/do-not-call", {"phone": "x"}).json()["detail"][0]["loc"] == ["body", "phone"]
    assert api(bob).delete(f"/api/v1/do-not-call/{added['id']}").status_code == 403
    assert client.delete(f"/api/v1/do-not-call/{added['id']}").json() == {"message": "Number removed"}
    assert client.delete(f"/api/v1/do-not-call/{added['id']}").json() == {"detail": "Number not found"}


# --- lists of the CRM ---


def test_a_list_of_leads_becomes_a_queue_and_is_taken_back(alice, agent, api):
    ada = make_lead(alice.tenant, first_name="Ada", phone="+14155552671", tags=["vip"])
    mute = make_lead(alice.tenant, first_name="Mute", tags=["vip"])
    make_lead(alice.tenant, first_name="Other", phone="+14155552673")
    closed = make_lead(alice.tenant, first_name="Closed", phone="+14155552674", tags=["vip"])
    done = make_entry(agent, lead=closed, phone=closed.phone, status="done", disposition="no_answer", attempts_count=3)
    client = api(alice)
    answer = client.post("/api/v1/fills", {"agent_id": str(agent.public_id), "query": "tags=vip&sort_by=score"})
    assert answer.status_code == 202
    runner.run(answer.json()["operation_id"])
    body = client.get(answer.json()["status_url"]).json()
    assert {name: body[name] for name in ("success_count", "error_count", "skipped_count", "total_processed", "error")} == {
        "success_count": 2,
        "error_count": 0,
        "skipped_count": 1,
        "total_processed": 3,
        "error": None,
    }
    assert [(row["crm_lead_id"], row["reason"]) for row in body["skipped"]] == [(mute.pk, "It has no number that could be called.")]
    with inside(alice.tenant_id):
        operation = Operation.objects.get(pk=answer.json()["operation_id"])
        assert (operation.created, operation.updated, operation.skipped, operation.failed) == (1, 1, 1, 0)
        assert QueueEntry.objects.get(lead=ada).batch_id == operation.pk
        done.refresh_from_db()
        assert (done.status, done.attempts_count, done.batch_id) == ("new", 0, operation.pk)
    with acting(alice) as by:
        undo = undo_operation(operation=operation, by=by)
    runner.run(undo.pk)
    with inside(alice.tenant_id):
        done.refresh_from_db()
        assert (done.status, done.disposition, done.batch_id) == ("done", "no_answer", None)
        assert list(QueueEntry.objects.filter(deleted_at=None)) == [done]


def test_a_filling_takes_only_leads_in_sight_and_leaves_who_must_not_be_called(bob, alice, agent, api):
    mine = make_lead(bob.tenant, first_name="Mine", phone="+14155552671", owner=bob)
    make_lead(bob.tenant, first_name="Hers", phone="+14155552672", owner=alice)
    never = make_lead(bob.tenant, first_name="Never", phone="+14155552673", owner=bob)
    make_entry(agent, lead=never, phone=never.phone, status="done", disposition="do_not_call")
    with acting(bob) as by:
        operation = filling.start_fill(agent_id=agent.pk, query="", by=by)
    runner.run(operation.pk)
    with inside(bob.tenant_id):
        assert list(QueueEntry.objects.exclude(status="done").values_list("lead_id", flat=True)) == [mine.pk]
        operation.refresh_from_db()
        assert [row.message for row in operation.rows.all()] == ["It was closed as “Do not call”."]
    assert api(bob).post("/api/v1/fills", {"agent_id": str(agent.public_id), "query": "colour=red"}).status_code == 422
    assert api(bob).post("/api/v1/fills", {"agent_id": str(agent.public_id), "lead_ids": []}).status_code == 422


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({}, ["body"]),
        ({"querry": "tags=vip"}, ["body"]),
        ({"all": False}, ["body"]),
        ({"query": "tags=vip", "lead_ids": [1]}, ["body"]),
        ({"all": True, "query": "tags=vip"}, ["body"]),
        ({"all": True, "lead_ids": [1]}, ["body"]),
        ({"query": " "}, ["body", "query"]),
        ({"query": "tags="}, ["body", "query"]),
        ({"query": "view=3&sort_by=score"}, ["body", "query"]),
        ({"lead_ids": []}, ["body", "lead_ids"]),
    ],
)
def test_nothing_but_a_plain_wish_queues_every_lead(alice, agent, api, wanted, place):
    answer = api(alice).post("/api/v1/fills", {"agent_id": str(agent.public_id), **wanted})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)
    with inside(alice.tenant_id):
        assert not Operation.objects.exists()


def test_every_lead_is_queued_when_it_is_said(alice, agent, api):
    for number in (1, 2):
        make_lead(alice.tenant, phone=f"+1415555267{number}")
    answer = api(alice).post("/api/v1/fills", {"agent_id": str(agent.public_id), "all": True})
    assert answer.status_code == 202
    runner.run(answer.json()["operation_id"])
    assert api(alice).get(answer.json()["status_url"]).json()["success_count"] == 2


def test_a_filling_that_failed_says_why(alice, agent, api):
    make_lead(alice.tenant, phone="+14155552671")
    client = api(alice)
    body = client.post("/api/v1/fills", {"agent_id": str(agent.public_id), "all": True}).json()
    client.delete(f"/api/v1/agents/{agent.public_id}")
    runner.run(body["operation_id"])
    body = client.get(body["status_url"]).json()
    assert (body["state"], body["error"], body["success_count"]) == ("failed", "Agent not found", 0)
