"""`/settings/statuses` and `/settings/transitions`."""

import pytest

from crm.identity.models import Role
from leads.models import Lead, LeadStatus, LeadTransition
from tests.factories import inside, make_lead, make_user


@pytest.fixture
def client(alice, api):
    return api(alice)


@pytest.fixture(autouse=True)
def configures(alice, tenant):
    """Alice is set up as an admin: stages are an admin's to change."""
    with inside(tenant.pk):
        alice.role = Role.objects.get(code="admin")
        alice.save()


def test_a_status_of_ones_own_is_added_renamed_and_deleted(client):
    made = client.post("/api/settings/statuses", {"label": "Trial running", "category": "open"})
    row = made.json()["data"]
    assert (made.status_code, row["id"], row["name"], row["is_builtin"]) == (201, 101, "trial_running", False)
    changed = client.patch("/api/settings/statuses/101", {"label": "Pilot", "position": 4}).json()["data"]
    assert (changed["label"], changed["name"], changed["position"], changed["is_active"]) == ("Pilot", "trial_running", 4, True)
    assert len(client.get("/api/settings/statuses").json()["data"]) == 9
    assert client.delete("/api/settings/statuses/101").json()["data"] == {"id": 101, "deleted": True}
    assert client.get("/api/settings/statuses/101").status_code == 404


def test_statuses_of_the_product_keep_their_meaning_and_their_place(client, tenant):
    assert client.patch("/api/settings/statuses/2", {"category": "won"}).status_code == 400
    assert client.delete("/api/settings/statuses/2").status_code == 409
    assert client.patch("/api/settings/statuses/1", {"is_active": False}).status_code == 400
    assert client.patch("/api/settings/statuses/2", {"label": "Fit"}).json()["data"]["name"] == "qualified"


def test_a_status_with_leads_is_not_switched_off(client, tenant):
    lead = make_lead(tenant, status="negotiation")
    answer = client.patch("/api/settings/statuses/6", {"is_active": False})
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["details"]["leads"]) == (409, "STATUS_IN_USE", 1)
    with inside(tenant.pk):
        Lead.objects.filter(pk=lead.pk).delete()
    assert client.patch("/api/settings/statuses/6", {"is_active": False}).json()["data"]["is_active"] is False


def test_a_status_that_a_lead_once_was_in_is_not_deleted(client, tenant):
    client.post("/api/settings/statuses", {"label": "Trial"})
    lead = make_lead(tenant, status="trial")
    with inside(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(status=LeadStatus.objects.get(code="new"))
    answer = client.delete("/api/settings/statuses/101")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "STATUS_IN_USE")


@pytest.mark.parametrize("body", [{"label": ""}, {"label": "New"}, {"label": "X", "category": "sold"}, {"label": "x" * 61}])
def test_a_status_that_cannot_be_is_refused(client, body):
    assert client.post("/api/settings/statuses", body).status_code == 400


def test_a_move_is_allowed_asks_for_something_and_is_closed(client, tenant):
    made = client.post("/api/settings/transitions", {"fromStatusId": 1, "toStatusId": 3, "requiredFields": ["company"]}).json()["data"]
    assert (made["from_status"], made["to_status"], made["required_fields"], made["needs_reason"]) == (
        "new",
        "contacted",
        ["company"],
        False,
    )
    changed = client.patch(f"/api/settings/transitions/{made['id']}", {"needs_reason": True}).json()["data"]
    assert (changed["required_fields"], changed["needs_reason"]) == (["company"], True)
    lead = make_lead(tenant)
    assert list(client.put(f"/api/leads/{lead.pk}", {"status": "contacted"}).json()["error"]["details"]) == ["company", "reason"]
    assert client.delete(f"/api/settings/transitions/{made['id']}").status_code == 200
    assert client.put(f"/api/leads/{lead.pk}", {"status": "contacted"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"from_status_id": 1, "to_status_id": 1}, 400),
        ({"from_status_id": 1, "to_status_id": 77}, 400),
        ({"from_status_id": 1, "to_status_id": 2}, 409),
        ({"from_status_id": 1, "to_status_id": 3, "required_fields": ["shoe_size"]}, 400),
    ],
)
def test_a_move_that_cannot_be_is_refused(client, body, status):
    assert client.post("/api/settings/transitions", body).status_code == status


def test_reps_change_nothing(api, tenant):
    client = api(make_user(tenant, role="sales_rep"))
    assert client.get("/api/settings/statuses").status_code == 200
    assert client.post("/api/settings/statuses", {"label": "Mine"}).status_code == 403
    with inside(tenant.pk):
        pk = LeadTransition.objects.first().pk
    assert client.delete(f"/api/settings/transitions/{pk}").status_code == 403
