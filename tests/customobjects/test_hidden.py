"""What a role may not see stays hidden: in what was received, in failed rows, in saved views, and by whoever changes fields."""

import json

import orjson
import pytest
from django.core.files.base import ContentFile

from crm.operations import runner
from crm.operations.models import Operation
from customobjects.models import FieldDefinition
from leads.models import Lead
from leads.services.imports import start_import
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead, make_user

SECRET = "4711474711"
MAPPING = {"Name": "name", "Kommission": "custom:rebate", "Mail": "email"}


@pytest.fixture
def rebate(tenant):
    return make_field(tenant, "number", label="Rebate", visible_to=["admin"])


def imported(user, text: str, mapping: dict[str, str] | None = None) -> Operation:
    with acting(user) as by:
        file = ContentFile(text.encode(), name="people.csv")
        operation = start_import(file=file, mapping=mapping or MAPPING, by=by)
    runner.run(operation.pk)
    with inside(user.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def text_of(answer) -> str:
    return (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode()


# --- what was received ---


def test_a_mapped_column_is_hidden_by_its_field_whatever_its_header(tenant, admin, alice, rebate, api, pages):
    operation = imported(admin, f"Name,Kommission,Mail,Colour\nAnn,{SECRET},ann@acme.example,red\n")
    assert (operation.created, operation.failed) == (1, 0)
    with inside(tenant.pk):
        lead = Lead.objects.get()
        assert (lead.custom_fields["rebate"], lead.raw_field_data) == (
            4711474711,
            {"Name": "Ann", "rebate": SECRET, "Mail": "ann@acme.example", "Colour": "red"},
        )
    for user, sees in ((admin, True), (alice, False)):
        told = [
            text_of(api(user).get(f"/api/leads/{lead.pk}")),
            text_of(api(user).get("/api/leads/export", {"fields": "raw_field_data", "format": "json"})),
        ]
        assert [SECRET in text for text in told] == [sees, sees]
        assert all("red" in text for text in told)
    assert SECRET not in text_of(pages(alice).get(f"/leads/{lead.pk}"))


def test_a_column_stays_hidden_when_its_field_is_renamed(tenant, admin, alice, api):
    item = make_field(tenant, "number", label="Kommission", key="rebate", visible_to=["admin"])
    imported(admin, f"Name,Kommission\nAnn,{SECRET}\n", {"Name": "name"})
    assert api(admin).patch(f"/api/custom-fields/{item.pk}", {"label": "Rebate"}).status_code == 200
    with inside(tenant.pk):
        pk = Lead.objects.get().pk
    assert SECRET not in text_of(api(alice).get(f"/api/leads/{pk}"))
    assert SECRET in text_of(api(admin).get(f"/api/leads/{pk}"))


# --- failed rows ---


def test_failed_rows_hide_the_cells_of_hidden_fields(tenant, admin, alice, rebate, api, pages):
    operation = imported(admin, f"Name,Kommission,Mail\nAnn,{SECRET},nonsense\nBen,{SECRET}x,ben@acme.example\n")
    assert operation.failed == 2
    places = (f"/api/operations/{operation.pk}/errors", f"/operations/{operation.pk}", f"/operations/{operation.pk}/failed.csv")
    for user, sees in ((admin, True), (alice, False)):
        clients = (api(user), pages(user), pages(user))
        for client, path in zip(clients, places, strict=True):
            answer = client.get(path)
            assert answer.status_code == 200, path
            text = text_of(answer)
            assert (SECRET in text, "Kommission" in text, "custom:rebate" in text) == (sees, sees, sees), path
            assert "nonsense" in text
    rows = api(alice).get(places[0]).json()["data"]
    assert [(row["field"], row["message"]) for row in rows] == [
        ("email", rows[0]["message"]),
        (None, "There is a problem with a field that your role may not see."),
    ]


def test_who_gave_the_file_sees_its_failed_rows_whole(tenant, alice, rebate, api):
    operation = imported(alice, f"Name,Kommission,Mail\nAnn,{SECRET},ann@acme.example\n")
    (row,) = api(alice).get(f"/api/operations/{operation.pk}/errors").json()["data"]
    assert (row["values"]["Kommission"], row["field"]) == (SECRET, "custom:rebate")
    other = make_user(tenant, role="manager")
    (row,) = api(other).get(f"/api/operations/{operation.pk}/errors").json()["data"]
    assert (row["values"], row["field"]) == ({"Name": "Ann", "Mail": "ann@acme.example"}, None)


# --- changing definitions ---


def test_who_may_not_see_a_field_does_not_change_it(tenant, admin, alice, rebate, api, pages):
    here, page = f"/api/custom-fields/{rebate.pk}", f"/settings/custom-fields/{rebate.pk}"
    client = api(alice)
    answers = [
        client.patch(here, {"visible_to": []}), client.put(here, {"label": "Rebate", "visible_to": ["manager"]}),
        client.patch(here, {"is_active": False}), client.delete(here),
        pages(alice).get(page), pages(alice).post(page, {"label": "Rebate"}),
        *(pages(alice).post(f"{page}/action", {"action": action}) for action in ("off", "delete")),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    with inside(tenant.pk):
        kept = FieldDefinition.objects.get(pk=rebate.pk)
        assert (kept.visible_to, kept.is_active) == (["admin"], True)
    assert f'href="{page}"' not in text_of(pages(alice).get("/settings/custom-fields"))
    assert f'href="{page}"' in text_of(pages(admin).get("/settings/custom-fields"))
    assert api(admin).patch(here, {"visible_to": ["manager"]}).status_code == 200


def test_a_field_that_not_everybody_sees_is_not_deleted(tenant, admin, alice, rebate, api, pages):
    lead = make_lead(tenant, first_name="Ann", custom_fields={"rebate": int(SECRET)})
    here, page = f"/api/custom-fields/{rebate.pk}", f"/settings/custom-fields/{rebate.pk}"
    assert api(admin).delete(here).status_code == 409
    pages(admin).post(f"{page}/action", {"action": "delete"})
    assert 'value="delete"' not in text_of(pages(admin).get(page))
    assert api(admin).patch(here, {"is_active": False}).status_code == 200
    assert SECRET not in text_of(api(alice).get(f"/api/leads/{lead.pk}"))
    assert api(admin).patch(here, {"visible_to": [], "is_active": True}).status_code == 200
    assert 'value="delete"' in text_of(pages(admin).get(page))
    assert api(admin).delete(here).status_code == 200


# --- saved views ---


def conditions(name: str) -> str:
    return json.dumps(
        {"all": [{"field": "score", "op": "at_least", "value": 5}, {"not": {"field": name, "op": "is", "value": int(SECRET)}}]}
    )


def test_views_do_not_tell_hidden_values(tenant, admin, alice, rebate, api, pages):
    make_field(tenant, "number", label="Rebate old", key="rebate_old")
    query = {
        "status": "new", "cf_rebate": SECRET, "cf_rebate_min": SECRET, "cf_rebate_old": "12", "filter": conditions("cf_rebate"),
        "col": ["company", "cf_rebate"], "w": ["cf_rebate:300"], "sort": "-cf_rebate",
    }  # fmt: skip
    body = {"list": "leads", "name": "Dear ones", "query": query, "audience": "everyone", "is_pinned": True}
    made = api(admin).post("/api/views", body).json()["data"]
    assert made["query"] == query
    seen = {"status": "new", "cf_rebate_old": "12", "col": ["company"]}
    (listed,) = api(alice).get("/api/views").json()["data"]
    assert listed["query"] == api(alice).get(f"/api/views/{made['id']}").json()["data"]["query"] == seen
    for text in (
        json.dumps(listed),
        *(text_of(pages(alice).get(path)) for path in ("/leads?view=all", "/operations", f"/leads?view={made['id']}")),
    ):
        assert SECRET not in text
        assert "cf_rebate=" not in text
    assert SECRET in text_of(pages(admin).get("/operations"))
    # A change by who does not see it loses nothing.
    assert api(alice).put(f"/api/views/{made['id']}", {"query": {"status": "lost"}}).json()["data"]["query"] == {"status": "lost"}
    kept = api(admin).get(f"/api/views/{made['id']}").json()["data"]["query"]
    assert (kept["status"], kept["cf_rebate"], kept["filter"]) == ("lost", SECRET, query["filter"])


def test_nested_conditions_over_what_everybody_sees_stay(tenant, admin, alice, rebate, api):
    make_field(tenant, "number", label="Rooms", key="rooms")
    query = {"filter": conditions("cf_rooms")}
    pk = api(admin).post("/api/views", {"list": "leads", "name": "A", "query": query, "audience": "everyone"}).json()["data"]["id"]
    assert api(alice).get(f"/api/views/{pk}").json()["data"]["query"] == query
    escaped = {"filter": conditions("cf_rebate").replace("cf_", "\\u0063f_")}
    assert orjson.loads(escaped["filter"]) == orjson.loads(conditions("cf_rebate"))
    assert api(admin).put(f"/api/views/{pk}", {"query": escaped}).status_code == 200
    assert api(alice).get(f"/api/views/{pk}").json()["data"]["query"] == {}
