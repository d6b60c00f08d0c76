"""Service levels over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from crm.tenancy.scope import tenant_scope
from leads.models import Lead, LeadStatus
from pipeline.models import SlaClock, SlaPolicy
from pipeline.services.clocks import refresh_clocks
from tests.customobjects.parts import make_field
from tests.factories import inside, make_lead, make_user

AT = datetime(2024, 6, 12, 10, tzinfo=UTC)
POLICY = {
    "name": "Answer",
    "kind": "first_response",
    "targetMinutes": 60,
    "hours": "always",
    "conditions": {"field": "priority", "op": "is", "value": ["high", "critical"]},
    "steps": [{"minutes": 0, "action": "notify_manager"}],
}


@pytest.fixture
def client(alice, api):
    return api(alice)


def clocks(tenant, *leads, at=AT):
    with tenant_scope(tenant.pk):
        refresh_clocks(lead_ids=[lead.pk for lead in leads], now=at)


def test_a_policy_is_made_read_changed_and_deleted(client):
    made = client.post("/api/settings/sla-policies", POLICY)
    row = made.json()["data"]
    assert made.status_code == 201
    assert {name: row[name] for name in ("name", "kind", "target_minutes", "hours", "due_soon_share", "is_active", "status_id")} == {
        "name": "Answer", "kind": "first_response", "target_minutes": 60, "hours": "always", "due_soon_share": 75, "is_active": True,
        "status_id": None,
    }  # fmt: skip
    assert row["steps"] == [{"minutes": 0, "action": "notify_manager", "user": None}]
    changed = client.patch(f"/api/settings/sla-policies/{row['id']}", {"target_minutes": 30}).json()["data"]
    assert (changed["target_minutes"], changed["conditions"], changed["steps"]) == (30, row["conditions"], row["steps"])
    assert [item["id"] for item in client.get("/api/settings/sla-policies").json()["data"]] == [row["id"]]
    assert client.get(f"/v1/settings/sla-policies/{row['id']}").json()["data"] == changed
    assert client.delete(f"/api/settings/sla-policies/{row['id']}").json()["data"] == {"id": row["id"], "deleted": True}
    assert client.get(f"/api/settings/sla-policies/{row['id']}").status_code == 404


def test_a_policy_of_a_name_taken_and_a_wrong_one_are_refused(client):
    client.post("/api/settings/sla-policies", POLICY)
    assert client.post("/api/settings/sla-policies", POLICY).status_code == 409
    answer = client.post("/api/settings/sla-policies", {**POLICY, "name": "Other", "conditions": {"field": "nothing"}})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["conditions"])
    assert client.post("/api/settings/sla-policies", {**POLICY, "conditions": [1]}).status_code == 400


def test_reps_neither_read_nor_change_policies(api, client, tenant):
    made = client.post("/api/settings/sla-policies", POLICY).json()["data"]
    rep = api(make_user(tenant, role="sales_rep"))
    assert rep.get("/api/settings/sla-policies").status_code == 403
    assert rep.post("/api/settings/sla-policies", {**POLICY, "name": "Mine"}).status_code == 403
    assert rep.delete(f"/api/settings/sla-policies/{made['id']}").status_code == 403


def test_the_lead_says_how_much_time_is_left(client, tenant):
    client.post("/api/settings/sla-policies", {**POLICY, "conditions": None})
    lead = make_lead(tenant, created_at=AT, status_changed_at=AT)
    clocks(tenant, lead)
    sla = client.get(f"/api/leads/{lead.pk}").json()["data"]["sla"]
    assert [(item["policy"], item["kind"], item["state"], item["due_at"]) for item in sla] == [
        ("Answer", "first_response", "on_track", "2024-06-12T11:00:00Z")
    ]
    assert sla[0]["seconds_left"] < 0
    assert client.get(f"/api/leads/{make_lead(tenant).pk}").json()["data"]["sla"] is None


def test_pause_and_resume(client, tenant):
    client.post("/api/settings/sla-policies", {**POLICY, "conditions": None})
    lead = make_lead(tenant)
    clocks(tenant, lead, at=lead.created_at)
    paused = client.post(f"/api/leads/{lead.pk}/sla/pause").json()["data"]
    assert [(item["state"], item["due_at"]) for item in paused] == [("paused", None)]
    assert client.post(f"/api/leads/{lead.pk}/sla/pause").status_code == 409
    resumed = client.post(f"/api/leads/{lead.pk}/sla/resume").json()["data"]
    assert [item["state"] for item in resumed] == ["on_track"]


def test_the_control_room(api, alice, bob, client, tenant):
    client.post("/api/settings/sla-policies", {**POLICY, "conditions": None})
    late = make_lead(tenant, created_at=AT - timedelta(hours=2), status_changed_at=AT - timedelta(hours=2), owner=bob)
    soon = make_lead(tenant, created_at=AT - timedelta(minutes=40), status_changed_at=AT - timedelta(minutes=40), owner=alice)
    later = make_lead(tenant, created_at=AT, status_changed_at=AT)
    won = make_lead(tenant, created_at=AT - timedelta(days=2), status_changed_at=AT - timedelta(days=2))
    clocks(tenant, late, soon, later, won)
    with tenant_scope(tenant.pk):
        Lead.objects.filter(pk=won.pk).update(last_contact_at=won.created_at + timedelta(minutes=4))
        refresh_clocks(lead_ids=[won.pk], now=AT)
        Lead.objects.filter(pk=won.pk).update(status_id=_status("won"))
    with time_machine.travel(AT, tick=False):
        client = api(alice)
        data = client.get("/api/sla/control-room").json()["data"]
        breached = client.get("/api/sla/clocks?which=breached").json()
        first = client.get("/api/sla/clocks?limit=1").json()
        second = client.get(f"/api/sla/clocks?limit=1&cursor={first['meta']['pagination']['nextCursor']}").json()
        compliance = client.get("/api/sla/compliance?date_from=2024-06-01&date_to=2024-06-30").json()["data"]
    assert (data["running"], data["breaching_soon"], data["breached"], data["paused"]) == (3, 1, 1, 0)
    assert [row["lead_id"] for row in data["next"]] == [soon.pk]
    assert [row["lead_id"] for row in breached["data"]] == [late.pk]
    assert [first["data"][0]["lead_id"], second["data"][0]["lead_id"]] == [late.pk, soon.pk]
    assert [(row["user_id"], row["breached"], row["soon"]) for row in data["by_owner"]] == [(bob.pk, 1, 0), (alice.pk, 0, 1), (None, 0, 0)]
    assert [(row["response_time"], row["leads"], row["won"], row["conversion_rate"]) for row in data["response_and_conversion"]] == [
        ("within_5_minutes", 1, 1, 100.0), ("within_1_hour", 0, 0, 0.0), ("within_1_day", 0, 0, 0.0), ("later", 0, 0, 0.0),
    ]  # fmt: skip
    assert [(row["within_sla"], row["exceeded_sla"], row["pending"], row["compliance_rate"]) for row in compliance] == [(1, 1, 2, 50.0)]


def _status(code):
    return LeadStatus.objects.get(code=code).pk


def test_a_rep_sees_the_clocks_of_their_own_leads(api, alice, client, tenant):
    client.post("/api/settings/sla-policies", {**POLICY, "conditions": None})
    rep = make_user(tenant, role="sales_rep")
    own, other = make_lead(tenant, owner=rep), make_lead(tenant, owner=alice)
    clocks(tenant, own, other)
    assert [row["lead_id"] for row in api(rep).get("/api/sla/clocks").json()["data"]] == [own.pk]
    assert api(rep).post(f"/api/leads/{other.pk}/sla/pause").status_code == 404


@pytest.mark.parametrize("leads", [1, 3])
def test_the_list_of_clocks_asks_a_flat_number_of_queries(client, tenant, leads, django_assert_max_num_queries):
    client.post("/api/settings/sla-policies", {**POLICY, "conditions": None})
    clocks(tenant, *[make_lead(tenant) for _ in range(leads)])
    with django_assert_max_num_queries(10):
        assert len(client.get("/api/sla/clocks").json()["data"]) == leads
    with tenant_scope(tenant.pk):
        assert SlaClock.objects.count() == leads


def test_conditions_on_a_hidden_field_are_kept_from_the_reader_and_as_they_are(tenant, alice, admin, api, pages):
    make_field(tenant, "number", label="Rebate", visible_to=["admin"])
    tree = {"all": [{"field": "cf_rebate", "op": "at_least", "value": 4711}, {"field": "city", "op": "is", "value": "Rome"}]}
    pk = api(admin).post("/api/settings/sla-policies", {**POLICY, "conditions": tree}).json()["data"]["id"]
    here, client, page = f"/api/settings/sla-policies/{pk}", api(alice), pages(alice)
    answers = [client.get(here), client.get("/api/settings/sla-policies"), client.patch(here, {"target_minutes": 30})]
    answers += [page.get(f"/settings/sla{end}") for end in ("", f"/{pk}", f"/{pk}/conditions")]
    for answer in answers:
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "a field you may not see" in text
        assert "4711" not in text
    shown = client.get(here).json()["data"]
    assert client.put(here, {"name": "Renamed", "conditions": shown["conditions"]}).status_code == 200
    for wanted in ({"field": "city", "op": "is", "value": "Rome"}, None):
        refused = client.patch(here, {"conditions": wanted})
        assert (refused.status_code, list(refused.json()["error"]["details"])) == (400, ["conditions"])
    row = {"do": "apply", "match": "all", "g0-match": "all", "g0-0-field": "city", "g0-0-op": "is", "g0-0-value": "Rome"}
    answer = page.post(f"/settings/sla/{pk}/conditions", row)
    assert (answer.status_code, "a field you may not see" in answer.content.decode()) == (422, True)
    with inside(tenant.pk):
        policy = SlaPolicy.objects.get()
        assert (policy.conditions, policy.name, policy.target_minutes) == (tree, "Renamed", 30)
    assert api(admin).get(here).json()["data"]["conditions"] == tree
