"""Enriching leads: what is written and what never is, who is skipped, what is on record."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.selectors import history_of
from audit.services.undo import undo_operation
from crm.actors import Actor
from crm.errors import Forbidden
from crm.events.models import OutboxEntry
from crm.events.services import deliver_outbox
from crm.operations import runner
from crm.operations.models import Operation
from enrichment.enums import RECENT, Outcome
from enrichment.errors import NoProvider
from enrichment.models import Enrichment, FieldSource, ProviderSettings
from enrichment.receivers import enrich_captured
from enrichment.services.bulk import enrich_new, start_enrichment
from enrichment.services.enriching import Options, facts_about
from leads.events import LeadsCaptured
from leads.models import Lead
from leads.services.editing import edit_lead
from tests.enrichment.parts import enrich_leads
from tests.factories import acting, inside, make_lead, make_user

BANKER = {"first_name": "Ann", "email": "ann@first-bank.com", "title": "Head of Treasury", "phone": "+14155550134"}


def reread(lead: Lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.get(pk=lead.pk)


def enrich(user: Any, *leads: Lead, **options: Any) -> list[Any]:
    with acting(user) as by:
        return enrich_leads(lead_ids=[lead.pk for lead in leads], options=Options(**options), by=by)


def sources(lead: Lead) -> dict[str, FieldSource]:
    with inside(lead.tenant_id):
        return {source.field: source for source in FieldSource.objects.filter(lead=lead)}


def test_empty_fields_are_filled_and_each_value_has_its_source(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    (result,) = enrich(alice, lead)
    lead = reread(lead)
    assert (lead.industry, lead.country, lead.website) == ("Finance", "United States", "https://first-bank.com")
    assert sorted(result.written) == ["country", "industry", "website"]
    assert result.data["seniority_level"] == "senior"
    known = sources(lead)
    assert {name for name, source in known.items() if source.applied} == {"country", "industry", "website"}
    assert known["time_zone"].value == "America/Los_Angeles"
    assert {source.provider for source in known.values()} == {"Inference"}
    with inside(tenant.pk):
        row = Enrichment.objects.get(lead=lead)
        assert (row.outcome, row.enriched_by_id, row.providers) == (Outcome.ENRICHED, alice.pk, ["Inference"])
        assert {item.name for change in history_of(lead) for item in change.fields} == {"country", "industry", "website"}


def test_a_persons_own_value_is_never_overwritten(tenant, alice):
    lead = make_lead(tenant, **BANKER, industry="Fishing", country="Norway")
    (result,) = enrich(alice, lead)
    lead = reread(lead)
    assert (lead.industry, lead.country) == ("Fishing", "Norway")
    assert result.written == ["website"]
    assert sources(lead)["industry"].applied is False


def test_what_a_person_changed_or_emptied_afterwards_stays_so(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    enrich(alice, lead)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"industry": "Fishing", "website": ""}, by=by)
    (result,) = enrich(alice, lead, skip_recent=False)
    lead = reread(lead)
    assert (lead.industry, lead.website, lead.country) == ("Fishing", "", "United States")
    assert result.written == ["country"]


def test_its_own_value_is_renewed_when_more_is_known(tenant, alice):
    lead = make_lead(tenant, first_name="Ann", email="ann@acme.de")
    enrich(alice, lead)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"phone": "+442079460123", "email": "ann@first-bank.com"}, by=by)
    enrich(alice, lead, skip_recent=False)
    lead = reread(lead)
    assert (lead.country, lead.website, lead.industry) == ("United Kingdom", "https://first-bank.com", "Finance")


def test_it_does_not_learn_from_itself(tenant, alice):
    """The website it wrote makes no private person a business."""
    lead = make_lead(tenant, **BANKER)
    enrich(alice, lead)
    with inside(tenant.pk):
        (facts,) = facts_about([lead.pk])
    assert (facts.website, facts.industry, facts.title) == ("", "", "Head of Treasury")


def test_the_unsure_stands_beside_the_lead(tenant, alice):
    lead = make_lead(tenant, first_name="Ann", title="Registered Nurse", email="ann@acme.de")
    enrich(alice, lead)
    lead = reread(lead)
    assert (lead.industry, lead.country) == ("", "")
    assert (sources(lead)["industry"].value, sources(lead)["country"].value) == ("Healthcare", "Germany")


def test_score_follows(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    before = reread(lead).score
    enrich(alice, lead)
    assert reread(lead).score > before


def test_recently_enriched_is_skipped_with_what_is_known(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    enrich(alice, lead)
    (again,) = enrich(alice, lead)
    assert (again.success, again.skipped, again.reason, again.fields) == (True, True, RECENT, 0)
    assert again.data["inferred_industry"] == "Finance"
    assert enrich(alice, lead, skip_recent=False)[0].skipped is False
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        assert enrich(alice, lead, cache_hours=2)[0].skipped is False
        assert enrich(alice, lead, cache_hours=2)[0].skipped is True


def test_leads_out_of_sight_are_not_found(tenant, alice, bob, mallory):
    hers, foreign = make_lead(tenant, owner=alice, **BANKER), make_lead(mallory.tenant, first_name="Vic")
    results = enrich(bob, hers, foreign)
    assert [(result.success, result.reason) for result in results] == [(False, "Lead not found.")] * 2
    assert reread(hers).industry == ""


def test_who_may_not_is_refused_and_no_provider_is_said(tenant, alice):
    support = make_user(tenant, role="support")
    lead = make_lead(tenant, **BANKER)
    with pytest.raises(Forbidden):
        enrich(support, lead)
    with inside(tenant.pk):
        ProviderSettings.objects.update(is_active=False)
    with pytest.raises(NoProvider):
        enrich(alice, lead)


def test_number_of_statements_does_not_grow_with_leads(tenant, alice):
    def statements(number: int) -> int:
        leads = [make_lead(tenant, **{**BANKER, "email": f"ann{n}@first-bank.com"}) for n in range(number)]
        with acting(alice) as by, CaptureQueriesContext(connection) as queries:
            enrich_leads(lead_ids=[lead.pk for lead in leads], by=by)
        return len(queries)

    statements(2)
    assert statements(2) == statements(20)


# --- many ---


def test_operation_enriches_a_list_and_is_taken_back(tenant, alice, monkeypatch):
    monkeypatch.setattr("enrichment.services.bulk.CHUNK_LEADS", 3)
    leads = [make_lead(tenant, **{**BANKER, "email": f"ann{n}@first-bank.com"}, priority=3) for n in range(7)]
    other = make_lead(tenant, **BANKER, priority=1)
    own = make_lead(tenant, first_name="Own", industry="Fishing", priority=3)
    with acting(alice) as by:
        operation = start_enrichment(filters={"priority": "high"}, by=by)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation = Operation.objects.get(pk=operation.pk)
        assert (operation.state, operation.updated, operation.skipped, operation.failed) == ("done", 7, 1, 0)
    assert {reread(lead).industry for lead in leads} == {"Finance"}
    assert (reread(other).industry, reread(own).industry) == ("", "Fishing")
    with acting(alice) as by:
        undo = undo_operation(operation=operation, by=by)
    runner.run(undo.pk)
    assert {(reread(lead).industry, reread(lead).website) for lead in leads} == {("", "")}


def test_operation_by_ids_lists_those_that_are_not_there(tenant, alice, mallory):
    lead, foreign = make_lead(tenant, **BANKER), make_lead(mallory.tenant, first_name="Vic")
    with acting(alice) as by:
        operation = start_enrichment(ids=[lead.pk, foreign.pk], by=by)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation = Operation.objects.get(pk=operation.pk)
        assert (operation.updated, operation.failed) == (1, 1)


# --- new leads ---


def test_a_new_lead_is_enriched_after_it_was_captured(tenant, alice, api):
    answer = api(alice).post("/api/leads", BANKER)
    lead_id = answer.json()["data"]["lead"]["id"]
    with inside(tenant.pk):
        assert Lead.objects.get(pk=lead_id).industry == ""
    deliver_outbox()
    with inside(tenant.pk):
        lead = Lead.objects.get(pk=lead_id)
        assert (lead.industry, lead.country) == ("Finance", "United States")
        assert {change.actor for change in history_of(lead)} == {"enrichment"}
        assert not OutboxEntry.objects.filter(event="lead.captured", subscriber__startswith="enrichment").exists()


def test_an_import_is_not_enriched_by_itself(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    with inside(tenant.pk):
        enrich_captured([LeadsCaptured(lead_ids=(lead.pk,), door="import")])
    assert reread(lead).industry == ""


def test_tenants_may_switch_it_off_for_new_leads(tenant, alice):
    lead = make_lead(tenant, **BANKER)
    with inside(tenant.pk):
        ProviderSettings.objects.update(on_capture=False)
        enrich_new(lead_ids=[lead.pk], by=Actor.system(tenant_id=tenant.pk))
    assert reread(lead).industry == ""


# --- doors ---


def test_documented_example_answers_its_keys(tenant, alice, api):
    one, two = make_lead(tenant, **BANKER), make_lead(tenant, **{**BANKER, "email": "ben@first-bank.com"})
    client = api(alice)
    client.post("/api/leads/enrich", {"lead_ids": [two.pk]})
    body = {"lead_ids": [one.pk, str(two.pk)], "options": {"maxConcurrent": 5, "skipIfRecentlyEnriched": True, "enrichmentCacheHours": 24}}
    for path in ("/api/leads/enrich", "/v1/leads/enrich"):
        answer = client.post(path, body)
        assert answer.status_code == 200
        data = answer.json()["data"]
        if path.startswith("/api"):
            assert data["summary"] == {
                "total_requested": 2, "leads_found": 2, "successful_enrichments": 1, "skipped": 1, "failed": 0,
                "total_fields_enriched": data["detailed_results"][0]["fields_enriched"],
            }  # fmt: skip
            assert data["detailed_results"][0]["enriched_data"] | {"region": "", "time_zone": ""} == {
                "inferred_industry": "Finance", "business_likelihood": "high_business", "seniority_level": "senior",
                "decision_making_power": "high", "estimated_network_size": "large", "region": "", "time_zone": "",
            }  # fmt: skip
        assert data["detailed_results"][1]["skipped"] is True
        assert data["detailed_results"][1]["reason"] == "Recently enriched"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lead_ids": []},
        {"lead_ids": ["lead_123"]},
        {"lead_ids": [1], "filters": {}},
        {"lead_ids": [1], "options": {"maxConcurrent": 0}},
    ],
)
def test_bodies_that_cannot_be_read_are_400(tenant, alice, api, body):
    assert api(alice).post("/api/leads/enrich", body).status_code == 400


def test_many_ids_and_filters_are_an_operation(tenant, alice, api):
    client = api(alice)
    assert client.post("/api/leads/enrich", {"lead_ids": list(range(1, 102))}).status_code == 202
    assert client.post("/api/leads/enrich", {"filters": {"status": "new"}}).json()["data"]["kind"] == "enrichment.enrich"
    assert client.post("/api/leads/enrich", {"filters": {"priority": "soon"}}).status_code == 400


def test_provenance_is_answered_and_shown(tenant, alice, bob, api, pages):
    lead = make_lead(tenant, **BANKER, country="Norway")
    before = pages(alice).get(f"/leads/{lead.pk}").content.decode()
    assert "Enrich now" in before
    answer = pages(alice).post(f"/leads/{lead.pk}/enrich")
    assert answer.status_code == 302
    data = api(alice).get(f"/api/leads/{lead.pk}/enrichment").json()["data"]
    fields = {item["field"]: item for item in data["fields"]}
    assert (data["outcome"], fields["industry"]["in_use"], fields["industry"]["provider"]) == ("enriched", True, "Inference")
    text = pages(alice).get(f"/leads/{lead.pk}").content.decode()
    assert "Enrich again" in text
    assert "Very likely a business" in text
    assert "America/Los_Angeles" in text
    make_lead(tenant, first_name="Hers", owner=alice)
    assert api(bob).get(f"/api/leads/{make_lead(tenant, owner=alice).pk}/enrichment").status_code == 404


def test_exports_offer_what_was_found(tenant, alice, api):
    lead = make_lead(tenant, **BANKER)
    enrich(alice, lead)
    answer = api(alice).get("/api/leads/export", {"fields": "first_name,enrichment.seniority_level,enrichment.time_zone"})
    assert b"".join(answer.streaming_content).decode().splitlines() == [
        "first_name,enrichment.seniority_level,enrichment.time_zone", "Ann,senior,America/Los_Angeles",
    ]  # fmt: skip
