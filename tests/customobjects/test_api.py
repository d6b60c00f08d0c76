"""Custom fields over the API: definitions, and what leads answer of their values."""

import pytest

from customobjects.models import FieldDefinition
from leads.models import Lead
from tests.customobjects.parts import make_field
from tests.factories import inside, make_lead

URL = "/api/custom-fields"


def test_field_is_made_read_changed_and_deleted(tenant, alice, api):
    client = api(alice)
    body = {"label": "Deal heat", "kind": "Choice", "choices": ["Hot", {"label": "Cold", "value": "c0", "color": "blue"}], "default": "cold", "visibleTo": ["manager"]}  # fmt: skip
    made = client.post(URL, body)
    assert made.status_code == 201
    item = made.json()["data"]
    expected = {
        "model": "leads.Lead",
        "key": "deal_heat",
        "kind": "choice",
        "default": "c0",
        "visible_to": ["manager"],
        "editable_by": [],
        "currency": None,
        "required": False,
        "is_active": True,
        "choices": [{"value": "hot", "label": "Hot", "color": ""}, {"value": "c0", "label": "Cold", "color": "blue"}],
    }
    assert {name: item[name] for name in expected} == expected
    here = f"{URL}/{item['id']}"
    changed = client.patch(here, {"label": "Heat", "required": True}).json()["data"]
    assert (changed["label"], changed["required"], changed["choices"], changed["default"]) == ("Heat", True, expected["choices"], "c0")
    assert client.get(here).json()["data"]["label"] == "Heat"
    refused = client.delete(here)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "FIELD_IS_RESTRICTED")
    assert client.patch(here, {"visible_to": []}).status_code == 200
    assert client.delete(here).status_code == 200
    assert client.get(here).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"kind": "text"}, 400, "label"),
        ({"label": "X", "kind": "poem"}, 400, "kind"),
        ({"label": "X", "kind": "text", "model": "leads.Tag"}, 400, "model"),
        ({"label": "X", "kind": "choice", "choices": [{"label": "A", "color": "pink"}]}, 400, None),
        ({"label": "X", "kind": "text", "key": "taken"}, 409, "key"),
    ],
)
def test_wrong_definition_is_refused_and_nothing_is_made(tenant, alice, api, body, status, field):
    make_field(tenant, label="Taken")
    for path in (URL, f"{URL}/validate") if status == 400 else (URL,):
        answer = api(alice).post(path, body)
        assert answer.status_code == status, answer.json()
        if field:
            assert answer.json()["errors"][0]["field"] == field
    with inside(tenant.pk):
        assert FieldDefinition.objects.count() == 1


def test_definition_can_be_checked_without_making_it(tenant, alice, api):
    answer = api(alice).post(f"{URL}/validate", {"label": "Shoe size", "kind": "number", "default": "42"})
    assert answer.json()["data"] == {"valid": True, "key": "shoe_size"}
    with inside(tenant.pk):
        assert not FieldDefinition.objects.exists()


@pytest.mark.parametrize("item_count", [1, 3])
def test_list_has_a_flat_query_count(tenant, alice, api, item_count, django_assert_num_queries):
    for _ in range(item_count):
        make_field(tenant)
    client = api(alice)
    client.get(URL)
    with django_assert_num_queries(7):
        answer = client.get(URL)
    assert answer.json()["meta"]["pagination"]["total"] == item_count


def test_list_shows_a_rep_what_the_rep_may_see(tenant, bob, alice, api):
    make_field(tenant, label="Open")
    make_field(tenant, label="Margin", visible_to=["manager"])
    make_field(tenant, label="Off", is_active=False)
    assert [item["label"] for item in api(bob).get(URL).json()["data"]] == ["Open"]
    assert [item["label"] for item in api(alice).get(URL, {"include_inactive": "true"}).json()["data"]] == ["Open", "Margin", "Off"]
    assert api(bob).post(URL, {"label": "X", "kind": "text"}).status_code == 403


def test_order_is_set(tenant, alice, api):
    one, two = make_field(tenant, label="One"), make_field(tenant, label="Two")
    answer = api(alice).post(f"{URL}/order", {"ids": [two.pk, one.pk]})
    assert [item["label"] for item in answer.json()["data"]] == ["Two", "One"]
    assert api(alice).post(f"{URL}/order", {"ids": [two.pk, 0]}).status_code == 400


# --- leads ---


def test_leads_values_are_checked_and_stored_by_kind(tenant, alice, api):
    make_field(tenant, "number", label="Seats", required=True)
    make_field(tenant, "date", label="Renewal", default="2030-01-01")
    client = api(alice)
    wrong = client.post("/api/leads", {"name": "Ann Ash", "custom_fields": {"seats": "many", "timeline": "Q1"}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "custom_fields.seats")
    missing = client.post("/api/leads", {"name": "Ann Ash"})
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (400, "custom_fields.seats")
    made = client.post("/api/leads", {"name": "Ann Ash", "custom_fields": {"Seats": "1,200", "timeline": "Q1"}}).json()["data"]["lead"]
    assert made["custom_fields"] == {"seats": 1200, "timeline": "Q1", "renewal": "2030-01-01"}
    here = f"/api/leads/{made['id']}"
    changed = client.put(here, {"custom_fields": {"renewal": "31.12.2030", "timeline": None}})
    assert changed.json()["data"]["lead"]["custom_fields"] == {"seats": 1200, "renewal": "2030-12-31"}
    emptied = client.put(here, {"custom_fields": {"seats": None}})
    assert (emptied.status_code, emptied.json()["errors"][0]["field"]) == (400, "custom_fields.seats")


def test_hidden_field_is_nowhere_in_what_the_api_answers(tenant, alice, bob, api):
    make_field(tenant, "number", label="Margin", visible_to=["manager"])
    lead = make_lead(
        tenant, first_name="Ann", owner=bob, custom_fields={"margin": 4711, "free": "seen"}, raw_field_data={"Margin": "4711", "form": [{"name": "margin", "values": ["4711"]}]}
    )  # fmt: skip
    assert (
        api(alice).put(f"/api/leads/{lead.pk}", {"custom_fields": {"margin": 4712}}).json()["data"]["lead"]["custom_fields"]["margin"]
        == 4712
    )
    answer = api(bob).get(f"/api/leads/{lead.pk}")
    assert answer.json()["data"]["lead"]["custom_fields"] == {"free": "seen"}
    assert "4711" not in answer.content.decode()
    assert "4712" not in answer.content.decode()
    refused = api(bob).put(f"/api/leads/{lead.pk}", {"custom_fields": {"margin": 1}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "custom_fields.margin")
    kept = api(bob).put(f"/api/leads/{lead.pk}", {"custom_fields": {"free": "changed"}})
    assert kept.status_code == 200
    with inside(tenant.pk):
        assert Lead.objects.get(pk=lead.pk).custom_fields == {"margin": 4712, "free": "changed"}


# --- free values ---


def deep(levels: int):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [b"1" + b"0" * 30, b"-1e300", b"1e16", b"9007199254740993", b'[{"a": [1e30]}]', str(deep(20)).replace("'", '"').encode()]
)
@pytest.mark.parametrize("defined", [False, True])
def test_values_that_could_not_be_read_again_are_refused_at_every_strict_door(tenant, alice, api, value, defined):
    if defined:
        make_field(tenant, label="Other")
    client, lead = api(alice), make_lead(tenant, first_name="Ann")
    free = b'{"big": ' + value + b"}"
    answers = [
        client.post("/api/leads", b'{"name": "Ben", "custom_fields": ' + free + b"}"),
        client.post("/api/leads", b'{"name": "Ben", "raw_field_data": ' + free + b"}"),
        client.put(f"/api/leads/{lead.pk}", b'{"custom_fields": ' + free + b"}"),
        client.patch(f"/api/leads/{lead.pk}", b'{"custom_fields": ' + free + b"}"),
        client.put("/api/leads/bulk/update", b'{"lead_ids": [%d], "updates": {"custom_fields": %s}}' % (lead.pk, free)),
    ]
    assert [answer.status_code for answer in answers] == [400] * 5
    assert all(b"send a larger one as text" in answer.content or b"levels deep" in answer.content for answer in answers)
    with inside(tenant.pk):
        assert list(Lead.objects.values_list("custom_fields", flat=True)) == [{}]


def test_the_largest_exact_number_is_kept_and_can_be_changed(tenant, alice, api):
    client = api(alice)
    made = client.post("/api/leads", {"name": "Ben", "custom_fields": {"big": 2**53, "small": -(2**53), "half": 0.5, "list": deep(10)}})
    here = f"/api/leads/{made.json()['data']['lead']['id']}"
    assert client.put(here, {"custom_fields": {"big": 1}}).status_code == 200
    assert client.get(here).json()["data"]["lead"]["custom_fields"]["small"] == -(2**53)
