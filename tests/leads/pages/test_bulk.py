"""The selection bar's pages, and the advanced filter's."""

import json

import pytest

from crm.conditions import describe
from crm.operations.models import Operation
from crm.web.condition_builder import Builder
from leads.enums import Priority
from leads.filters import LeadFilters
from leads.models import Lead
from leads.pages import bulk
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead


@pytest.fixture
def web(alice, pages):
    return pages(alice)


def text(answer) -> str:
    return answer.content.decode()


def test_selected_leads_are_previewed_then_changed_and_can_be_taken_back(web, tenant):
    leads = [make_lead(tenant, priority=Priority.LOW), make_lead(tenant, priority=Priority.HIGH)]
    chosen = {"ids": [lead.pk for lead in leads], "query": "sort=-score"}
    assert "Change 2 leads" in text(web.post("/leads/bulk/edit", chosen))
    preview = text(web.post("/leads/bulk/edit", {**chosen, "step": "preview", "priority": "3"}))
    assert "Change 1 lead" in preview
    with inside(tenant.pk):
        assert not Operation.objects.exists()
    answer = web.post("/leads/bulk/edit", {**chosen, "step": "run", "priority": "3"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/leads?sort=-score"
    assert "1 leads changed." in text(answer)
    with inside(tenant.pk):
        operation = Operation.objects.get()
        assert set(Lead.objects.values_list("priority", flat=True)) == {Priority.HIGH}
    assert f'action="/operations/{operation.pk}/undo"' in text(answer)


def test_all_matching_means_the_list_one_came_from(web, tenant, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    for number in range(3):
        make_lead(tenant, industry="Legal" if number else "Energy")
    answer = web.post("/leads/bulk/edit", {"all_matching": "1", "query": "industry=Legal&sort=name", "step": "run", "add_tags": "a, b"})
    with inside(tenant.pk):
        operation = Operation.objects.get()
        assert operation.params["filters"] == {"industry": "Legal"}
    assert answer.url == f"/operations/{operation.pk}"


def test_nothing_selected_and_wrong_values_are_told(web, tenant):
    lead = make_lead(tenant)
    assert "Select some leads first." in text(web.post("/leads/bulk/edit", {}, follow=True))
    empty = web.post("/leads/bulk/edit", {"ids": lead.pk, "step": "preview"})
    assert (empty.status_code, "Name at least one field" in text(empty)) == (422, True)


def test_leads_are_deleted_by_who_may(web, bob, pages, tenant):
    leads = [make_lead(tenant) for _ in range(2)]
    assert pages(bob).post("/leads/bulk/delete", {"ids": leads[0].pk}).status_code == 403
    assert "Delete 2 leads" in text(web.post("/leads/bulk/delete", {"ids": [lead.pk for lead in leads]}))
    assert "For good" not in text(web.post("/leads/bulk/delete", {"ids": [lead.pk for lead in leads]}))
    web.post("/leads/bulk/delete", {"ids": [lead.pk for lead in leads], "step": "run", "reason": "Old"})
    with inside(tenant.pk):
        assert Lead.objects.filter(deleted_at__isnull=False).count() == 2


def test_a_selection_is_taken_to_the_export(web, tenant):
    lead = make_lead(tenant)
    assert web.post("/leads/bulk/export", {"ids": lead.pk}).url == f"/leads/export?ids={lead.pk}"
    assert web.post("/leads/bulk/export", {"all_matching": "1", "query": "status=new"}).url == "/leads/export?status=new"


# --- the advanced filter ---

TREES = [
    {"field": "score", "op": "at_least", "value": 70},
    {"all": [{"field": "score", "op": "between", "value": [10, 20.5]}, {"field": "tags", "op": "has_any", "value": ["vip", "x"]}]},
    {"any": [{"field": "status", "op": "is", "value": ["new"]}, {"all": [{"field": "city", "op": "empty"}, {"field": "assigned_to", "op": "is", "value": ["me"]}]}]},
    {"field": "created_at", "op": "within_last", "value": "30d"},
]  # fmt: skip


@pytest.mark.parametrize("tree", TREES)
def test_the_form_says_what_the_conditions_say(alice, tree):
    with acting(alice):
        fields = LeadFilters.condition_fields()
        builder = Builder.of(tree, fields)
        again = Builder.of(builder.tree(), fields)
        assert again.tree() == builder.tree()
        assert describe(builder.tree(), fields)


def test_what_the_form_cannot_show_is_told(web, tenant):
    for tree in (
        {"not": {"field": "score", "op": "less", "value": 5}},
        {"field": "city", "op": "is", "value": ["Paris", "Washington, DC"]},
        {"any": [{"field": "score", "op": "is", "value": [1, 2]}, {"field": "city", "op": "empty"}]},
        {"all": [{"field": "score", "op": "more", "value": number} for number in range(25)]},
    ):
        assert "too deep for this form" in text(web.get("/leads/filter", {"filter": json.dumps(tree)}))
    assert "could not be read" in text(web.get("/leads/filter", {"filter": "{"}))


def test_conditions_are_put_together_and_lead_to_the_list(web, tenant):
    make_lead(tenant, first_name="Hanna", score=80)
    make_lead(tenant, first_name="Lothar", score=10)
    page = text(web.get("/leads/filter?sort=name"))
    assert 'name="g0-0-field"' in page
    form = {"query": "sort=name", "match": "all", "g0-match": "all", "g0-0-field": "score", "g0-0-op": "at_least", "g0-0-value": "50"}
    more = text(web.post("/leads/filter", {**form, "do": "add-0"}, HTTP_HX_REQUEST="true"))
    assert 'name="g0-1-field"' in more
    assert "<html" not in more
    wrong = web.post("/leads/filter", {**form, "g0-0-value": "much", "do": "apply"})
    assert (wrong.status_code, "Must be a number." in text(wrong)) == (422, True)
    answer = web.post("/leads/filter", {**form, "do": "apply"}, follow=True)
    assert answer.redirect_chain[-1][0].startswith("/leads?sort=name&filter=")
    assert "Hanna" in text(answer)
    assert "Lothar" not in text(answer)
    assert "Score is at least 50" in text(answer)


# --- groups ---


def test_a_list_by_groups_shows_each_with_its_number_and_first_leads(web, alice, bob, tenant):
    for number in range(12):
        make_lead(tenant, first_name=f"N{number}", status="new", owner=alice)
    make_lead(tenant, first_name="Wanda", status="won", owner=bob, lead_source="Fair, spring")
    page = text(web.get("/leads?group=status&sort=name"))
    assert page.count('id="lead-') == 11
    assert 'New <span class="muted">12</span>' in page
    assert 'href="?sort=name&amp;status=won"' in page
    owners = text(web.get("/leads?group=owner&status=new"))
    assert 'Alice Archer <span class="muted">12</span>' in owners
    assert "Bob Baker <span" not in owners
    assert 'Fair, spring <span class="muted">1</span>' in text(web.get("/leads?group=source"))


def test_groups_of_a_rep_count_what_they_see(bob, alice, pages, tenant):
    make_lead(tenant, owner=bob)
    make_lead(tenant, owner=alice)
    make_lead(tenant)
    assert 'New <span class="muted">2</span>' in text(pages(bob).get("/leads?group=status"))


# --- custom fields ---


def test_custom_fields_are_given_and_emptied_for_many(web, bob, pages, tenant):
    make_field(tenant, "money", label="Budget", key="budget", currency="USD")
    make_field(tenant, "multi_choice", label="Heat", key="heat")
    make_field(tenant, "checkbox", label="Signed", key="signed")
    make_field(tenant, "text", label="Plan", key="plan")
    make_field(tenant, "text", label="Terms", key="terms", editable_by=["manager"])
    leads = [make_lead(tenant, owner=bob, custom_fields={"plan": "Gold", "free": number}) for number in range(2)]
    chosen = {"ids": [lead.pk for lead in leads]}
    assert 'name="cf_terms"' in text(web.post("/leads/bulk/edit", chosen))
    assert 'name="cf_terms"' not in text(pages(bob).post("/leads/bulk/edit", chosen))
    wanted = {**chosen, "cf_budget": "1,250", "cf_heat": ["hot", "c0"], "cf_signed": "true", "empty": ["cf_plan"]}
    preview = text(web.post("/leads/bulk/edit", {**wanted, "step": "preview"}))
    assert "Change 2 leads" in preview
    assert "Hot, Cold" in preview
    web.post("/leads/bulk/edit", {**wanted, "step": "run"})
    with inside(tenant.pk):
        held = {"heat": ["hot", "c0"], "signed": True, "budget": {"amount": "1250.00", "currency": "USD"}}
        for number, values in enumerate(Lead.objects.order_by("pk").values_list("custom_fields", flat=True)):
            assert values == {"free": number, **held}


def test_wrong_custom_values_stand_at_their_input(web, tenant):
    make_field(tenant, "number", label="Seats", key="seats")
    lead = make_lead(tenant)
    answer = web.post("/leads/bulk/edit", {"ids": lead.pk, "step": "preview", "cf_seats": "many"})
    assert answer.status_code == 422
    assert "cf_seats" in answer.context["form"].errors
    both = web.post("/leads/bulk/edit", {"ids": lead.pk, "step": "preview", "cf_seats": "5", "empty": "cf_seats"})
    assert "Give it a value, or empty it." in text(both)
