"""The list of leads by service level: page, API, saved views and what goes through a list."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.urls import path
from drf_spectacular.generators import SchemaGenerator

from crm.savedviews.models import SavedView
from leads.api.views import LeadsView
from leads.filters import LeadFilters, LeadList
from pipeline.models import SlaClock, SlaPolicy
from pipeline.services.clocks import refresh_clocks
from pipeline.services.policies import pause_clocks
from tests.factories import acting, inside, make_lead, make_user

AT = datetime(2024, 6, 12, 10, tzinfo=UTC)


@pytest.fixture
def leads(tenant, alice):
    """A lead in every state, by first name, under an hour for the first response at noon."""
    with inside(tenant.pk):
        SlaPolicy.objects.create(name="Answer", kind="first_response", target_minutes=60, hours="always")
    made = {}
    for name, minutes in (("Track", 5), ("Soon", 50), ("Breached", 70), ("Met", 30), ("Paused", 30), ("Late", 90)):
        with time_machine.travel(AT - timedelta(minutes=minutes), tick=False):
            made[name] = make_lead(tenant, first_name=name)
            with inside(tenant.pk):
                refresh_clocks(lead_ids=[made[name].pk], now=AT - timedelta(minutes=minutes))
    make_lead(tenant, first_name="Free", status="won")
    with acting(alice) as by:
        pause_clocks(lead_id=made["Paused"].pk, now=AT, by=by)
        SlaClock.objects.filter(lead=made["Met"]).update(state="met", ended_at=AT)
        SlaClock.objects.filter(lead=made["Late"]).update(state="breached", ended_at=AT)
    with time_machine.travel(AT, tick=False):
        yield made


def names(answer) -> list[str]:
    return sorted(row["first_name"] for row in answer.json()["data"]["leads"])


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("on_track", ["Track"]),
        ("due_soon", ["Soon"]),
        ("Breached", ["Breached"]),
        ("met", ["Met"]),
        ("paused", ["Paused"]),
        ("due_soon,breached,met", ["Breached", "Met", "Soon"]),
    ],
)
def test_leads_by_the_state_of_their_clocks(leads, alice, state, expected):
    with acting(alice) as by:
        found = LeadList(params={"sla": state}, actor=by)
        ids = found.listing.page(limit=50).ids
        assert (sorted(name for name, lead in leads.items() if lead.pk in ids), found.total()) == (expected, len(expected))


def test_a_clock_that_runs_out_between_two_rounds_of_beat_is_breached_at_once(leads, alice):
    with time_machine.travel(AT + timedelta(minutes=11), tick=False), acting(alice) as by:
        ids = LeadList(params={"sla": "breached"}, actor=by).listing.page(limit=50).ids
    assert sorted(ids) == sorted([leads["Soon"].pk, leads["Breached"].pk])


def test_the_api_knows_it_and_refuses_other_words(leads, api, alice):
    client = api(alice)
    answer = client.get("/api/leads?sla=paused&limit=50")
    assert [row["id"] for row in answer.json()["data"]["leads"]] == [leads["Paused"].pk]
    assert client.get("/api/leads?sla=nearly").status_code == 400


def test_the_page_offers_it_and_says_it(leads, pages, alice):
    html = pages(alice).get("/leads?sla=due_soon").content.decode()
    assert 'name="sla"' in html
    assert ("Soon" in html, "Track</" in html) == (True, False)


def test_a_rep_finds_only_leads_in_their_sight(leads, tenant):
    rep = make_user(tenant, role="sales_rep")
    with inside(tenant.pk):
        leads["Soon"].owner = make_user(tenant)
        leads["Soon"].save(update_fields=["owner"])
    with acting(rep) as by:
        assert LeadList(params={"sla": "due_soon"}, actor=by).total() == 0
        assert LeadList(params={"sla": "on_track"}, actor=by).total() == 1


def test_work_through_a_list_knows_it(leads, alice):
    with acting(alice) as by:
        assert LeadList.for_work(params={"sla": "met"}, actor=by).ids_after(0, 10) == [leads["Met"].pk]
        assert LeadFilters.seen_by(by).unknown({"sla": "met"}) == []


def test_an_export_narrows_by_it(leads, api, alice, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    answer = api(alice).get("/api/leads/export", {"fields": "first_name", "sla": "due_soon,paused"})
    rows = b"".join(answer.streaming_content).decode("utf-8-sig").split()
    assert (rows[0], sorted(rows[1:])) == ("first_name", ["Paused", "Soon"])
    assert api(alice).get("/api/leads/export", {"sla": "nearly"}).status_code == 400


def test_a_saved_view_keeps_it(leads, pages, alice):
    web = pages(alice)
    web.post("/views/leads/new", {"name": "Too late", "audience": "private", "is_pinned": "on", "state": "sla=breached&sort=name"})
    with inside(alice.tenant_id):
        view = SavedView.objects.get(name="Too late")
    assert view.query == {"sla": "breached", "sort": "name"}
    answer = web.get(f"/leads?view={view.pk}&{urlencode(view.query)}")
    assert answer.context["total"] == 1
    assert f'id="lead-{leads["Breached"].pk}"' in answer.content.decode()
    assert "Too late" in web.get("/leads").content.decode()


def test_the_description_of_the_api_lists_it_though_its_app_comes_later():
    document = SchemaGenerator(patterns=[path("api/leads", LeadsView.as_view())]).get_schema(public=True)
    (methods,) = document["paths"].values()
    parameters = {parameter["name"]: parameter for parameter in methods["get"]["parameters"]}
    assert parameters["sla"] == {
        "in": "query", "name": "sla", "schema": {"type": "string", "minLength": 1}, "description": parameters["sla"]["description"],
    }  # fmt: skip
    assert parameters["sla"]["description"]
    assert {"status", "filter", "cursor"} <= set(parameters)
