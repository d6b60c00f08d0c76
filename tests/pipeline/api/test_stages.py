"""S1-20 to S1-24, S4-041 and S4-045 over HTTP, as document 1 shows them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from leads.models import Lead, LeadStatus, LeadTransition
from pipeline.models import LeadStage
from tests.factories import inside, make_lead, make_user

AT = datetime(2024, 6, 10, 10, tzinfo=UTC)


@pytest.fixture
def client(alice, api):
    return api(alice)


def ask(tenant, source, target, **fields):
    with inside(tenant.pk):
        LeadTransition.objects.filter(source__code=source, target__code=target).update(**fields)


def test_the_documented_change(client, alice, tenant):
    lead = make_lead(tenant)
    body = {
        "leadId": lead.pk,
        "statusId": 2,
        "notes": "Lead qualified after initial contact",
        "nextActionRequired": "Schedule follow-up call",
    }
    answer = client.post("/api/stages/change-status", body)
    data = answer.json()["data"]
    assert (answer.status_code, answer.json()["message"]) == (200, "Lead status changed from 'new' to 'qualified' successfully")
    stage = data["current_stage"]
    assert {name: stage[name] for name in ("id", "lead_id", "status_id", "status_name", "notes", "next_action_required")} == {
        "id": data["stage_id"],
        "lead_id": lead.pk,
        "status_id": 2,
        "status_name": "qualified",
        "notes": "Lead qualified after initial contact",
        "next_action_required": "Schedule follow-up call",
    }
    assert (data["previous_status"], data["new_status"], data["transition_valid"]) == ("new", "qualified", True)
    assert (stage["user_email"], stage["came_from"], stage["exited_at"]) == (alice.email, "new", None)


def test_a_move_that_the_rules_do_not_allow_changes_nothing(client, tenant):
    lead = make_lead(tenant)
    answer = client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 7})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "INVALID_TRANSITION")
    assert [item["name"] for item in error["details"]["allowed"]] == ["qualified", "lost"]
    with inside(tenant.pk):
        assert list(LeadStage.objects.values_list("status__code", "exited_at")) == [("new", None)]


def test_a_move_to_where_it_is_and_an_unknown_status_are_refused(client, tenant):
    lead = make_lead(tenant)
    assert client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 1}).status_code == 409
    answer = client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 99})
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"status_id": ["There is no such status."]})


def test_managers_may_skip_the_rules_and_reps_may_not(client, api, tenant):
    lead = make_lead(tenant)
    body = {"leadId": lead.pk, "statusId": 7, "skipValidation": True}
    assert api(make_user(tenant, role="sales_rep")).post("/api/stages/change-status", body).status_code == 403
    answer = client.post("/api/stages/change-status", body)
    assert (answer.status_code, answer.json()["data"]["transition_valid"]) == (200, False)


def test_required_fields_and_a_reason_are_named_at_every_door(client, tenant):
    ask(tenant, "new", "qualified", required_fields=["company", "cf_budget"], needs_reason=True)
    lead = make_lead(tenant)
    missing = ["company", "cf_budget", "reason"]
    answer = client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 2})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "REQUIRED_FOR_MOVE")
    assert list(answer.json()["error"]["details"]) == missing
    assert list(client.put(f"/api/leads/{lead.pk}", {"status": "qualified"}).json()["error"]["details"]) == missing
    assert list(client.post(f"/v1/leads/{lead.pk}/qualify").json()["error"]["details"]) == missing
    bulk = client.put("/api/leads/bulk/update", {"lead_ids": [lead.pk], "updates": {"status": "qualified"}}).json()["data"]
    assert (bulk["failed"], bulk["errors"][0]["field"]) == (1, "company")
    with inside(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(company="Acme", custom_fields={"budget": 5})
    assert client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 2, "notes": "They called"}).status_code == 200


def test_a_preview_counts_what_misses_something_as_refused(client, tenant):
    ask(tenant, "new", "qualified", required_fields=["company", "cf_budget"])
    make_lead(tenant)
    make_lead(tenant, company="Acme")
    make_lead(tenant, company="Acme", custom_fields={"budget": ""})
    make_lead(tenant, company="Acme", custom_fields={"budget": 3})
    body = {"filters": {}, "updates": {"status": "qualified"}, "options": {"dryRun": True}}
    data = client.put("/api/leads/bulk/update", body).json()["data"]
    assert (data["would_change"], data["refused"], data["reasons"]) == (1, 3, {"Something is missing for Qualified": 3})


def test_history_has_hours_with_two_decimals(client, alice, tenant):
    lead = make_lead(tenant, status_changed_at=AT, created_at=AT, created_by=alice)
    with time_machine.travel(AT + timedelta(hours=4), tick=False), inside(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(status_id=_status(tenant, "qualified"), status_changed_at=AT + timedelta(hours=4))
    rows = client.get(f"/api/stages/lead/{lead.pk}/history").json()["data"]
    assert [(row["status_name"], row["duration_hours"], row["exited_at"]) for row in rows] == [
        ("new", 4.0, "2024-06-10T14:00:00Z"),
        ("qualified", None, None),
    ]
    assert rows[0]["user_email"] == alice.email
    current = client.get(f"/api/stages/lead/{lead.pk}/current").json()["data"]
    assert (current["id"], current["status_name"]) == (rows[1]["id"], "qualified")
    assert current["hours_in_stage"] > 0


def _status(tenant, code):
    return LeadStatus.objects.get(code=code).pk


def test_next_statuses_as_documented(client, tenant):
    lead = make_lead(tenant, status="qualified")
    data = client.get(f"/api/stages/lead/{lead.pk}/next-statuses").json()["data"]
    assert data["current_status"] == "qualified"
    assert [(item["id"], item["name"], bool(item["description"])) for item in data["next_possible_statuses"]] == [
        (3, "contacted", True),
        (8, "lost", True),
    ]


def test_notes_are_changed_and_their_earlier_text_is_kept(client, tenant):
    lead = make_lead(tenant)
    with inside(tenant.pk):
        stage = LeadStage.objects.get(lead=lead)
    body = {"stageId": stage.pk, "notes": "First"}
    assert client.put("/api/stages/update-notes", body).status_code == 200
    answer = client.put("/api/stages/update-notes", {"stageId": stage.pk, "nextActionRequired": "Call"})
    assert (answer.json()["data"]["notes"], answer.json()["data"]["next_action_required"]) == ("First", "Call")
    with inside(tenant.pk):
        assert list(stage.history.values_list("notes", flat=True).order_by("pgh_id")) == ["", "First"]


def test_a_stage_of_a_lead_out_of_sight_is_not_there(api, tenant, alice):
    rep = make_user(tenant, role="sales_rep")
    lead = make_lead(tenant, owner=alice)
    with inside(tenant.pk):
        stage = LeadStage.objects.get(lead=lead)
    client = api(rep)
    assert client.put("/api/stages/update-notes", {"stageId": stage.pk, "notes": "X"}).status_code == 404
    assert client.get(f"/api/stages/lead/{lead.pk}/history").status_code == 404
    assert client.post("/api/stages/change-status", {"leadId": lead.pk, "statusId": 2}).status_code == 404


def test_many_are_qualified_at_once_and_each_by_the_rules(client, tenant):
    leads = [make_lead(tenant) for _ in range(3)]
    won = make_lead(tenant, status="won")
    data = client.post("/api/leads/bulk-qualify", {"lead_ids": [*[lead.pk for lead in leads], won.pk]}).json()["data"]
    assert (data["successful"], data["failed"], data["errors"][0]["record_id"]) == (3, 1, won.pk)
    with inside(tenant.pk):
        assert Lead.objects.filter(status__code="qualified").count() == 3


@pytest.mark.parametrize("leads", [1, 3])
def test_history_asks_the_same_number_of_queries_however_long(client, tenant, leads, django_assert_max_num_queries):
    lead = make_lead(tenant)
    with inside(tenant.pk):
        for number in range(leads):
            code = ("qualified", "contacted", "lost")[number]
            Lead.objects.filter(pk=lead.pk).update(status_id=_status(tenant, code), status_changed_at=AT)
    with django_assert_max_num_queries(14):
        assert len(client.get(f"/api/stages/lead/{lead.pk}/history").json()["data"]) == leads + 1


def test_a_change_of_the_lead_gives_the_reason_its_move_needs_and_keeps_it(client, tenant):
    with inside(tenant.pk):
        LeadTransition.objects.filter(source__code="new", target__code="qualified").update(needs_reason=True)
    lead = make_lead(tenant)
    refused = client.put(f"/api/leads/{lead.pk}", {"status": "qualified"})
    assert refused.status_code in (400, 409, 422)
    body = {"status": "qualified", "reason": "Budget approved", "next_action_required": "Send the offer"}
    assert client.put(f"/api/leads/{lead.pk}", body).status_code == 200
    with inside(tenant.pk):
        stage = LeadStage.objects.get(lead=lead, exited_at=None)
    assert (stage.notes, stage.next_action_required) == ("Budget approved", "Send the offer")


def test_a_bulk_update_keeps_its_reason_in_each_stay(client, tenant):
    leads = [make_lead(tenant), make_lead(tenant)]
    updates = {"status": "qualified", "reason": "Called at the fair"}
    answer = client.put("/api/leads/bulk/update", {"lead_ids": [lead.pk for lead in leads], "updates": updates})
    assert answer.status_code in (200, 202), answer.content
    with inside(tenant.pk):
        notes = list(LeadStage.objects.filter(lead__in=leads, exited_at=None).values_list("notes", flat=True))
    assert notes == ["Called at the fair"] * 2
