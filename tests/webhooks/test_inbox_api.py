"""The inbox by REST."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Arrival
from tests.factories import inside, make_lead, make_user
from tests.webhooks.inbox_parts import TOKEN, form_answers, make_arrival, make_source

FAILED = {"processing_status": "failed", "error": "Unreadable."}


def test_list_pages_by_cursor_and_narrows(tenant, alice, api):
    source = make_source(tenant)
    lead = make_lead(tenant, first_name="Ann", last_name="Archer")
    first = make_arrival(tenant, number=1, lead=lead, processing_status="processed", utm_campaign="spring")
    for number in range(2, 5):
        make_arrival(tenant, source, number=number, **FAILED)
    client = api(alice)
    page = client.get("/api/arrivals?limit=3").json()
    assert [row["source_lead_id"] for row in page["data"]] == ["id-4", "id-3", "id-2"]
    assert page["meta"]["pagination"]["hasNext"] is True
    rest = client.get(f"/api/arrivals?limit=3&cursor={page['meta']['pagination']['nextCursor']}").json()
    (row,) = rest["data"]
    assert (row["id"], row["state"], row["lead_id"], row["lead_name"], row["utm"]["campaign"]) == (
        first.pk,
        "created",
        lead.pk,
        "Ann Archer",
        "spring",
    )
    assert rest["meta"]["pagination"] == {"limit": 3, "nextCursor": None, "hasNext": False}
    assert len(client.get(f"/api/arrivals?state=failed&source_id={source.pk}").json()["data"]) == 3
    assert client.get("/api/arrivals?door=email").json()["data"] == []
    tomorrow = (timezone.now() + timedelta(days=1)).isoformat().replace("+", "%2B")
    assert client.get(f"/api/arrivals?received_after={tomorrow}").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=x", "state"), ("door=x", "door"), ("source_id=x", "source_id"), ("platform=x", "platform"), ("received_after=x", "received_after"),
     ("cursor=x", "cursor"), ("limit=0", "limit")],
)  # fmt: skip
def test_wrong_parameters_are_named(alice, api, query, field):
    answer = api(alice).get(f"/api/arrivals?{query}")
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


def test_one_arrival_says_what_it_would_become(tenant, alice, api):
    source = make_source(tenant)
    known = make_lead(tenant, email="pat@acme.example")
    arrival = make_arrival(
        tenant, source, payload=form_answers(full_name="Pat Poe", email="PAT@acme.example", phone="12", farbe="blue"), **FAILED
    )
    answer = api(alice).get(f"/api/arrivals/{arrival.pk}")
    body = answer.json()["data"]
    assert body["payload"] == arrival.payload
    trial = body["would_become"]
    assert (trial["ok"], trial["lead"]["first_name"], trial["custom_fields"], trial["joins_lead_id"]) == (
        True,
        "Pat",
        {"farbe": "blue"},
        known.pk,
    )
    assert trial["warnings"] == ["Phone kept as typed: it is not a possible number."]
    assert TOKEN not in answer.content.decode()


def test_one_arrival_says_why_it_would_not(tenant, alice, api):
    arrival = make_arrival(tenant, make_source(tenant), payload=form_answers(farbe="blue"), **FAILED)
    trial = api(alice).get(f"/api/arrivals/{arrival.pk}").json()["data"]["would_become"]
    assert (trial["ok"], trial["problems"]) == (False, {"name": ["Give at least one of name, e-mail, phone or company."]})


def test_replay_of_one_and_of_all(tenant, alice, api):
    page, fair = make_source(tenant), make_source(tenant, kind="webhook", name="Fair")
    one = make_arrival(tenant, page, number=1, **FAILED)
    make_arrival(tenant, page, number=2, **FAILED)
    make_arrival(tenant, fair, number=3, **FAILED)
    make_arrival(tenant, number=4, **FAILED)
    client = api(alice)
    assert client.post(f"/api/arrivals/{one.pk}/replay").json()["data"] == {"id": one.pk, "state": "waiting"}
    again = client.post(f"/api/arrivals/{one.pk}/replay")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "NOT_FAILED")
    assert client.post("/api/arrivals/replay", {"source_id": page.pk}).json()["data"] == {"replayed": 1}
    assert client.post("/api/arrivals/replay", {"door": "website"}).json()["data"] == {"replayed": 1}
    assert client.post("/api/arrivals/replay", {"door": "email", "source_id": fair.pk}).status_code == 404
    assert client.post("/api/arrivals/replay").json()["data"] == {"replayed": 1}
    assert client.post("/api/arrivals/replay", {"door": "window"}).status_code == 400


def test_who_sees_arrivals_need_not_be_who_replays_them(tenant, bob, mallory, api):
    source = make_source(tenant)
    arrival = make_arrival(tenant, source, **FAILED)
    with inside(tenant.pk):
        support = make_user(tenant, role="support")
        support.role.capabilities = ["leads.view_arrival"]
        support.role.save()
    assert api(support).get(f"/api/arrivals/{arrival.pk}").status_code == 200
    assert api(support).post(f"/api/arrivals/{arrival.pk}/replay").status_code == 403
    assert api(bob).get("/api/arrivals").status_code == 403
    assert api(mallory).get("/api/arrivals").json()["data"] == []
    assert api(mallory).get(f"/api/arrivals/{arrival.pk}").status_code == 404
    assert api(mallory).post(f"/api/arrivals/{arrival.pk}/replay").status_code == 404
    assert api(mallory).post("/api/arrivals/replay", {"source_id": source.pk}).status_code == 404
    with inside(tenant.pk):
        assert Arrival.objects.get().processing_status == "failed"


@pytest.mark.parametrize("count", [1, 30])
def test_list_query_count_is_flat(tenant, alice, api, count, django_assert_max_num_queries):
    source = make_source(tenant)
    for number in range(count):
        make_arrival(tenant, source, number=number)
    client = api(alice)
    client.get("/api/arrivals")
    with django_assert_max_num_queries(12):
        assert len(client.get("/api/arrivals").json()["data"]) == count
