"""Many leads at once: spread over people, and placed by the rules."""

from datetime import timedelta

import pytest
from django.utils import timezone

from assignments.models import Assignment, Capacity, Leave
from audit.services.undo import undo_operation
from crm.operations.models import Operation
from crm.operations.runner import run
from leads.models import Lead
from tests.assignments.parts import make_reps, make_rule, owners_of, waiting_in
from tests.factories import acting, inside, make_lead

PATH = "/api/assignments/bulk-assign"


def test_bulk_assign_answers_as_documented(tenant, alice, bob, api):
    leads = [make_lead(tenant) for _ in range(3)]
    answer = api(alice).post(PATH, {"reason": "Weekly bulk assignment", "max_leads_per_user": 25})
    body = answer.json()
    assert (answer.status_code, body["message"]) == (200, "Successfully assigned 3 leads")
    assert body["data"]["total_assigned"] == 3
    assert body["data"]["assignments"] == [{"lead_id": lead.pk, "assigned_user_id": bob.pk} for lead in leads]
    with inside(tenant.pk):
        assert set(Assignment.objects.values_list("reason", "assigned_by_id")) == {("Weekly bulk assignment", alice.pk)}


def test_bulk_assign_is_for_managers(tenant, bob, api):
    make_lead(tenant)
    assert api(bob).post(PATH, {}).status_code == 403
    assert owners_of(tenant) == {}


def test_bulk_assign_never_passes_the_limit(tenant, alice, api):
    reps = make_reps(tenant, 3)
    make_lead(tenant, owner=reps[0])
    make_lead(tenant, owner=reps[0], status="won")
    free = [make_lead(tenant, created_at=timezone.now() - timedelta(days=9 - number)) for number in range(9)]
    data = api(alice).post(PATH, {"max_leads_per_user": 2}).json()["data"]
    given = [row["assigned_user_id"] for row in data["assignments"]]
    assert {user.pk: given.count(user.pk) for user in reps} == {reps[0].pk: 1, reps[1].pk: 2, reps[2].pk: 2}
    assert sorted(row["lead_id"] for row in data["assignments"]) == [lead.pk for lead in free[:5]]
    assert waiting_in(tenant) == []
    assert api(alice).post(PATH, {"max_leads_per_user": 2}).json()["data"]["total_assigned"] == 0


def test_bulk_assign_passes_over_the_absent_and_the_full(tenant, alice, api):
    away, full, paused, here = make_reps(tenant, 4)
    today = timezone.localdate()
    with inside(tenant.pk):
        Leave.objects.create(user=away, first_day=today - timedelta(days=1), last_day=today + timedelta(days=1))
        Capacity.objects.create(user=full, in_total=0)
        Capacity.objects.create(user=paused, takes_leads=False)
    for _ in range(4):
        make_lead(tenant)
    rows = api(alice).post(PATH, {}).json()["data"]["assignments"]
    assert {row["assigned_user_id"] for row in rows} == {here.pk}


def test_many_become_an_operation_that_can_be_taken_back(tenant, alice, bob, api, monkeypatch):
    monkeypatch.setattr("assignments.services.bulk.AT_ONCE", 2)
    for _ in range(3):
        make_lead(tenant)
    answer = api(alice).post(PATH, {"reason": "All"})
    assert answer.status_code == 202
    pk = answer.json()["data"]["operation_id"]
    run(pk)
    assert set(owners_of(tenant).values()) == {bob.pk}
    with inside(tenant.pk):
        assert Operation.objects.get(pk=pk).updated == 3
    with acting(alice) as by:
        undo = undo_operation(operation=Operation.objects.get(pk=pk), by=by)
    run(undo.pk)
    assert set(owners_of(tenant).values()) == {None}


def test_bulk_assign_says_that_nobody_has_room(tenant, alice, bob, api, pages):
    for _ in range(3):
        make_lead(tenant)
    first = api(alice).post(PATH, {"max_leads_per_user": 1}).json()
    assert first["message"] == "Successfully assigned 1 lead. Nobody has room: 2 leads stay unassigned"
    second = api(alice).post(PATH, {"max_leads_per_user": 1}).json()
    assert (second["message"], second["data"]["total_assigned"]) == ("Nobody has room: 2 leads stay unassigned", 0)
    assert set(second["data"]) == {"total_assigned", "assignments", "unassigned"}
    client = pages(alice)
    client.post("/assignments", {"max_leads_per_user": "1"})
    assert "Nobody has room: 2 leads stay unassigned." in client.get("/assignments").content.decode()


# --- by the rules ---


def test_leads_assign_says_which_ids_it_left_alone(tenant, alice, bob, mallory, api):
    make_rule(alice, user_id=bob.pk)
    free, owned, won = make_lead(tenant), make_lead(tenant, owner=alice), make_lead(tenant, status="won")
    deleted, foreign = make_lead(tenant, deleted_at=timezone.now()), make_lead(mallory.tenant)
    ids = [free.pk, owned.pk, won.pk, deleted.pk, foreign.pk, 10**12]
    data = api(alice).post("/api/leads/assign", {"lead_ids": ids}).json()["data"]
    assert {row["lead_id"]: row["reason"] for row in data["skipped"]} == {
        owned.pk: "has_owner",
        won.pk: "closed",
        deleted.pk: "not_found",
        foreign.pk: "not_found",
        10**12: "not_found",
    }
    assert [row["lead_id"] for row in data["assignments"]] == [free.pk]


def test_leads_assign_places_by_rules_and_says_what_it_could_not(tenant, alice, bob, api):
    make_rule(alice, user_id=bob.pk, conditions={"field": "country", "op": "is", "value": "France"})
    here, elsewhere, taken = make_lead(tenant, country="France"), make_lead(tenant), make_lead(tenant, country="France", owner=alice)
    answer = api(alice).post("/v1/leads/assign", {"leadIds": [here.pk, elsewhere.pk, taken.pk]}).json()
    assert answer["data"]["assignments"] == [{"lead_id": here.pk, "assigned_user_id": bob.pk}]
    assert answer["data"]["unassigned"] == [elsewhere.pk]
    assert (waiting_in(tenant), owners_of(tenant)[taken.pk]) == ([elsewhere.pk], alice.pk)


def test_leads_assign_takes_all_unassigned_where_nothing_is_said(tenant, alice, bob, api):
    make_rule(alice, user_id=bob.pk)
    leads = [make_lead(tenant) for _ in range(3)]
    data = api(alice).post("/api/leads/assign", {}).json()["data"]
    assert [row["lead_id"] for row in data["assignments"]] == [lead.pk for lead in leads]


def test_leads_assign_needs_rules_and_the_right(tenant, alice, bob, api):
    make_lead(tenant)
    refused = api(alice).post("/api/leads/assign", {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "NO_ASSIGNMENT_RULES")
    make_rule(alice, user_id=bob.pk)
    assert api(bob).post("/api/leads/assign", {}).status_code == 403
    assert api(alice).post("/api/leads/assign", {"filters": {"nothing": "x"}}).status_code == 400


@pytest.mark.parametrize("by_filter", [True, False])
def test_placing_as_an_operation_counts_every_lead(tenant, alice, bob, api, monkeypatch, by_filter):
    monkeypatch.setattr("assignments.services.bulk.AT_ONCE", 1)
    monkeypatch.setattr("assignments.services.bulk.CHUNK", 2)
    make_rule(alice, user_id=bob.pk, conditions={"field": "city", "op": "is", "value": "Paris"})
    leads = [make_lead(tenant, city="Paris" if number % 2 else "") for number in range(5)]
    body = {"filters": {"status": "new"}} if by_filter else {"lead_ids": [lead.pk for lead in leads]}
    answer = api(alice).post("/api/leads/assign", body)
    run(answer.json()["data"]["operation_id"])
    with inside(tenant.pk):
        operation = Operation.objects.get()
        assert (operation.state, operation.updated, operation.skipped) == ("done", 2, 3)
        assert Lead.objects.filter(owner=bob).count() == 2
