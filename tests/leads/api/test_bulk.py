"""S0-07 and S0-08 over HTTP, and lists by nested conditions."""

import json

import pytest

from crm.operations import runner
from crm.operations.models import Operation
from leads.api import bulk
from leads.enums import Priority
from leads.models import Lead
from tests.factories import inside, make_lead


@pytest.fixture
def client(alice, api):
    return api(alice)


def test_the_documented_update(client, alice, tenant):
    leads = [make_lead(tenant, status="qualified") for _ in range(3)]
    body = {
        "lead_ids": [str(lead.pk) for lead in leads],
        "updates": {"status": "Follow-up", "priority": "High", "assigned_to": alice.pk},
        "options": {"skip_validation": False, "recalculate_scores": True},
    }
    answer = client.put("/api/leads/bulk/update", body)
    data = answer.json()["data"]
    assert data.pop("operation_id") > 0
    assert (answer.status_code, data) == (200, {"total_processed": 3, "successful": 3, "unchanged": 0, "failed": 0, "errors": []})
    with inside(tenant.pk):
        rows = Lead.objects.values_list("status__code", "priority", "owner_id").distinct()
        assert list(rows.order_by()) == [("contacted", Priority.HIGH, alice.pk)]


def test_a_dry_run_counts_and_changes_nothing(client, tenant):
    lead, won = make_lead(tenant), make_lead(tenant, status="won")
    body = {"filters": {}, "updates": {"status": "qualified"}, "options": {"dryRun": True}}
    data = client.put("/api/leads/bulk/update", body).json()["data"]
    assert data == {
        "dry_run": True, "matched": 2, "would_change": 1, "unchanged": 0, "refused": 1, "reasons": {"Won may not become Qualified": 1},
    }  # fmt: skip
    with inside(tenant.pk):
        assert set(Lead.objects.values_list("pk", "status__code")) == {(lead.pk, "new"), (won.pk, "won")}
        assert not Operation.objects.exists()


def test_many_run_as_an_operation(client, tenant, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    leads = [make_lead(tenant) for _ in range(2)]
    answer = client.put("/api/leads/bulk/update", {"lead_ids": [lead.pk for lead in leads], "updates": {"priority": "low"}})
    assert answer.status_code == 202
    runner.run(answer.json()["data"]["id"])
    with inside(tenant.pk):
        assert set(Lead.objects.values_list("priority", flat=True)) == {Priority.LOW}


def test_the_documented_delete_in_a_delete_with_a_body(client, tenant):
    lead = make_lead(tenant)
    body = {"lead_ids": [lead.pk], "options": {"hard_delete": False, "reason": "Data cleanup - outdated leads"}}
    answer = client.send("DELETE", "/api/leads/bulk/delete", body)
    assert (answer.status_code, answer.json()["data"]["successful"]) == (200, 1)
    assert client.get(f"/api/leads/{lead.pk}").status_code == 404
    assert client.post("/api/leads/bulk/restore", {"lead_ids": [lead.pk]}).json()["data"]["successful"] == 1
    assert client.get(f"/api/leads/{lead.pk}").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"updates": {"priority": "low"}}, "lead_ids"),
        ({"lead_ids": [], "updates": {"priority": "low"}}, "lead_ids"),
        ({"lead_ids": ["x"], "updates": {"priority": "low"}}, "lead_ids"),
        ({"lead_ids": [1], "updates": {"priority": "urgent-ish"}}, "priority"),
        ({"lead_ids": [1], "updates": {}}, "updates"),
        ({"lead_ids": [1], "filters": {"status": "new"}, "updates": {"priority": "low"}}, "filters"),
        ({"filters": {"filter": "{"}, "updates": {"priority": "low"}}, "filter"),
    ],
)
def test_a_wrong_body_is_told_by_field(client, tenant, body, field):
    answer = client.put("/api/leads/bulk/update", body)
    assert answer.status_code == 400
    assert field in json.dumps(answer.json()["errors"])


def test_support_may_look_and_not_touch(api, tenant):
    from tests.factories import make_user

    helper = api(make_user(tenant, role="support"))
    lead = make_lead(tenant)
    assert helper.put("/api/leads/bulk/update", {"lead_ids": [lead.pk], "updates": {"priority": "low"}}).status_code == 403
    assert helper.send("DELETE", "/api/leads/bulk/delete", {"lead_ids": [lead.pk]}).status_code == 403


def listed(client, tree) -> set[str]:
    answer = client.get("/api/leads", {"filter": json.dumps(tree)})
    assert answer.status_code == 200, answer.json()
    return {row["first_name"] if "first_name" in row else row["name"] for row in answer.json()["data"]["leads"]}


def test_lists_by_nested_conditions(client, alice, tenant):
    make_lead(tenant, first_name="Ana", last_name="", company="Ärzte GmbH", score=80, tags=["vip"], owner=alice)
    make_lead(tenant, first_name="Ben", last_name="", company="Bolt", score=20, tags=["vip", "cold"])
    make_lead(tenant, first_name="Cleo", last_name="", company="", status="won", score=60)
    assert listed(client, {"field": "company", "op": "contains", "value": "arzte"}) == {"Ana"}
    assert listed(client, {"field": "company", "op": "empty"}) == {"Cleo"}
    assert listed(client, {"field": "tags", "op": "has_all", "value": ["vip"]}) == {"Ana", "Ben"}
    assert listed(
        client, {"any": [{"field": "tags", "op": "has_any", "value": ["cold"]}, {"field": "status", "value": ["Converted"]}]}
    ) == {
        "Ben",
        "Cleo",
    }
    assert listed(client, {"field": "assigned_to", "value": "none"}) == {"Ben", "Cleo"}
    assert listed(client, {"not": {"field": "assigned_to", "value": "me"}}) == {"Ben", "Cleo"}
    assert listed(
        client, {"all": [{"field": "created_at", "op": "within_last", "value": "1d"}, {"field": "name", "op": "is_not", "value": "ana"}]}
    ) == {
        "Ben",
        "Cleo",
    }
    assert listed(client, {"field": "created_at", "op": "older_than", "value": "7d"}) == set()
    assert {row["name"] for row in client.get("/api/leads?created_after=-1d").json()["data"]["leads"]} == {"Ana", "Ben", "Cleo"}


def test_the_total_of_nested_conditions_is_exact(client, tenant):
    for number in range(3):
        make_lead(tenant, tags=["a"] if number else [])
    tree = json.dumps({"all": [{"field": "tags", "op": "has_any", "value": "a"}]})
    assert client.get("/api/leads", {"filter": tree}).json()["data"]["pagination"]["total_items"] == 2


def test_a_wrong_condition_is_told_with_its_place(client, tenant):
    answer = client.get("/api/leads", {"filter": json.dumps({"all": [{"field": "score", "op": "less", "value": "x"}]})})
    assert answer.status_code == 400
    assert "all[0].value" in json.dumps(answer.json()["errors"])
