"""Leads given, moved and taken away by hand, as document 1 has it."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from assignments.models import Assignment
from crm.bulk import insert_records, update_records
from crm.tenancy.scope import tenant_scope
from leads.models import Lead, LeadStatus
from leads.services.editing import edit_lead
from tests.factories import acting, inside, make_lead, make_user


def rows_of(lead) -> list[tuple]:
    with inside(lead.tenant_id):
        rows = Assignment.objects.filter(lead=lead).order_by("id")
        return [(row.assigned_user_id, row.previous_user_id, row.assigned_by_id, row.reason, row.until is None) for row in rows]


# --- the API ---


def test_assign_answers_as_documented(tenant, alice, bob, api):
    lead = make_lead(tenant)
    body = {"leadId": lead.pk, "assignedUserId": bob.pk, "reason": "New lead assignment", "notes": "High priority prospect"}
    answer = api(alice).post("/api/assignments/assign", body).json()
    row = answer["data"]["assignment"]
    assert (answer["success"], answer["message"]) == (True, "Lead assigned successfully")
    assert answer["data"]["assigned_user"] == {"id": bob.pk, "first_name": "Bob", "last_name": "Baker"}
    assert (row["lead_id"], row["assigned_user_id"], row["assigned_by_user_id"]) == (lead.pk, bob.pk, alice.pk)
    assert (row["reassignment_reason"], row["notes"], row["previous_user_id"]) == ("New lead assignment", "High priority prospect", None)
    assert rows_of(lead) == [(bob.pk, None, alice.pk, "New lead assignment", True)]


def test_assign_refuses_a_lead_that_somebody_has(tenant, alice, bob, api):
    lead = make_lead(tenant, owner=alice)
    answer = api(alice).post("/v1/assignments/assign", {"lead_id": lead.pk, "assigned_user_id": bob.pk})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ALREADY_ASSIGNED")
    assert answer.json()["error"]["details"]["assigned_user_id"] == alice.pk
    assert rows_of(lead) == [(alice.pk, None, None, "", True)]


def test_reassign_keeps_whom_it_had_before_and_why(tenant, alice, bob, api):
    lead = make_lead(tenant, owner=alice)
    body = {"leadId": lead.pk, "newAssignedUserId": bob.pk, "reason": "Workload rebalancing", "notes": "Moving to senior sales rep"}
    answer = api(alice).post("/api/assignments/reassign", body)
    assert answer.status_code == 200
    assert answer.json()["data"]["assignment"]["previous_user_id"] == alice.pk
    assert rows_of(lead) == [(alice.pk, None, None, "", False), (bob.pk, alice.pk, alice.pk, "Workload rebalancing", True)]


@pytest.mark.parametrize(("owned", "to_owner", "code"), [(False, False, "NOT_ASSIGNED"), (True, True, "ALREADY_ASSIGNED")])
def test_reassign_refuses_what_is_no_move(tenant, alice, bob, api, owned, to_owner, code):
    lead = make_lead(tenant, owner=alice if owned else None)
    answer = api(alice).post("/api/assignments/reassign", {"leadId": lead.pk, "newAssignedUserId": (alice if to_owner else bob).pk})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)


def test_unassign_leaves_a_row_without_an_owner(tenant, alice, bob, api):
    lead = make_lead(tenant, owner=bob)
    answer = api(alice).post("/api/assignments/unassign", {"leadId": lead.pk, "reason": "Lead requires special handling"})
    assert answer.json()["data"]["assigned_user"] is None
    assert rows_of(lead)[-1] == (None, bob.pk, alice.pk, "Lead requires special handling", True)
    again = api(alice).post("/api/assignments/unassign", {"leadId": lead.pk})
    assert again.json()["error"]["code"] == "NOT_ASSIGNED"
    assert api(alice).get(f"/api/assignments/lead/{lead.pk}").status_code == 404


def test_rep_takes_an_unassigned_lead_and_gives_back_their_own_only(tenant, alice, bob, api):
    free, other = make_lead(tenant), make_lead(tenant, owner=alice)
    rep = api(bob)
    assert rep.post("/api/assignments/assign", {"leadId": free.pk, "assignedUserId": alice.pk}).status_code == 403
    assert rep.post("/api/assignments/assign", {"leadId": free.pk, "assignedUserId": bob.pk}).status_code == 200
    assert rep.post("/api/assignments/reassign", {"leadId": free.pk, "newAssignedUserId": alice.pk}).status_code == 403
    assert rep.post("/api/assignments/unassign", {"leadId": free.pk}).status_code == 200
    assert rep.post("/api/assignments/unassign", {"leadId": other.pk}).status_code == 404


def test_strangers_and_the_inactive_get_nothing(tenant, alice, bob, mallory, api):
    lead = make_lead(tenant)
    with inside(tenant.pk):
        bob.is_active = False
        bob.save()
    for user in (bob, mallory):
        answer = api(alice).post("/api/assignments/assign", {"leadId": lead.pk, "assignedUserId": user.pk})
        assert answer.status_code == 400
    foreign = make_lead(mallory.tenant)
    assert api(alice).post("/api/assignments/assign", {"leadId": foreign.pk, "assignedUserId": alice.pk}).status_code == 404
    assert rows_of(lead) == []


def test_support_may_not_give(tenant, api):
    support, lead = make_user(tenant, role="support"), make_lead(tenant)
    answer = api(support).post("/api/assignments/assign", {"leadId": lead.pk, "assignedUserId": support.pk})
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [{}, {"leadId": "x", "assignedUserId": 1}, {"leadId": 1, "assignedUserId": 2, "reason": "x" * 256}])
def test_assign_names_what_is_wrong(alice, api, body):
    assert api(alice).post("/api/assignments/assign", body).status_code == 400


def test_history_names_everybody(tenant, alice, bob, api):
    lead = make_lead(tenant)
    client = api(alice)
    client.post("/api/assignments/assign", {"leadId": lead.pk, "assignedUserId": alice.pk, "reason": "Initial assignment"})
    client.post("/api/assignments/reassign", {"leadId": lead.pk, "newAssignedUserId": bob.pk})
    rows = client.get(f"/api/assignments/lead/{lead.pk}/history").json()["data"]
    assert [(row["assigned_user_id"], row["previous_user_id"]) for row in rows] == [(bob.pk, alice.pk), (alice.pk, None)]
    assert (rows[0]["assigned_user_email"], rows[0]["assigned_by_first_name"], rows[0]["assigned_by_last_name"]) == (
        bob.email,
        "Alice",
        "Archer",
    )
    assert rows[1]["reassignment_reason"] == "Initial assignment"


@pytest.mark.parametrize("count", [1, 3])
def test_entity_list_is_filtered_counted_and_flat(tenant, alice, bob, api, count, django_assert_max_num_queries):
    for _number in range(count):
        make_lead(tenant, owner=bob)
    won = make_lead(tenant, owner=alice, status="won")
    make_lead(tenant)
    make_lead(tenant, owner=bob, deleted_at=timezone.now())
    client = api(alice)
    with django_assert_max_num_queries(14):
        answer = client.get("/api/assignments/entity?limit=50").json()
    assert answer["total"] == count + 1
    assert answer["filters"] == {"limit": 50, "offset": 0}
    assert answer["data"][0]["lead_id"] == won.pk
    answer = client.get(f"/api/assignments/entity?assigned_user_id={bob.pk}&lead_status=new&limit=1").json()
    assert (answer["total"], len(answer["data"]), answer["data"][0]["assigned_user_id"]) == (count, 1, bob.pk)
    assert client.get("/api/assignments/entity?lead_status=what").status_code == 400


def test_lists_go_on_by_cursor(tenant, alice, api):
    leads = [make_lead(tenant, owner=alice) for _ in range(3)]
    client = api(alice)
    first = client.get("/api/assignments/user?limit=2&cursor=").json()
    rest = client.get(f"/api/assignments/user?limit=2&cursor={first['meta']['pagination']['nextCursor']}").json()
    assert [row["lead_id"] for row in [*first["data"], *rest["data"]]] == [lead.pk for lead in reversed(leads)]


def test_rep_sees_their_own_assignments_alone(tenant, alice, bob, api):
    mine = make_lead(tenant, owner=bob)
    make_lead(tenant, owner=alice)
    for path in ("entity", "user"):
        answer = api(bob).get(f"/api/assignments/{path}").json()
        assert ([row["lead_id"] for row in answer["data"]], answer["total"]) == ([mine.pk], 1)


def test_own_assignments_come_twenty_at_a_time(tenant, alice, bob, api):
    for _ in range(21):
        make_lead(tenant, owner=bob)
    body = api(bob).get("/api/assignments/user").json()
    assert (len(body["data"]), body["total"], body["filters"]["limit"]) == (20, 21, 20)
    assert api(alice).get("/api/assignments/entity").json()["filters"]["limit"] == 50


def test_workload_adds_up(tenant, alice, bob, api):
    make_user(tenant, role="support")
    for status in ("new", "won", "lost"):
        make_lead(tenant, owner=bob, status=status)
    make_lead(tenant)
    data = api(alice).get("/api/assignments/workload-stats").json()["data"]
    rows = {row["id"]: row for row in data["workload_distribution"]}
    assert set(rows) == {alice.pk, bob.pk}
    assert [rows[bob.pk][name] for name in ("assigned_leads", "active_leads", "closed_leads")] == [3, 1, 2]
    assert (data["unassigned_leads"], data["total_users"], data["average_leads_per_user"]) == (1, 2, 1.5)
    assert api(bob).get("/api/assignments/workload-stats").status_code == 403


# --- the trigger ---


def test_every_door_leaves_a_row(tenant, alice, bob):
    status = None
    with tenant_scope(tenant.pk):
        status = LeadStatus.objects.get(code="new")
        now = timezone.now()
        leads = [
            Lead(tenant_id=tenant.pk, status_id=status.pk, status_changed_at=now, created_at=now, owner_id=owner, raw_field_data={})
            for owner in (bob.pk, None, bob.pk)
        ]
        insert_records(leads)
        for lead in leads:
            lead.owner_id = alice.pk
        update_records(leads[:2], ["owner"])
        Lead.objects.filter(pk=leads[2].pk).update(owner=None)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE leads_lead SET owner_id = %s WHERE id = %s", [bob.pk, leads[2].pk])
            cursor.execute("UPDATE leads_lead SET notes = 'x', owner_id = owner_id WHERE id = %s", [leads[2].pk])
    assert [row[0] for row in rows_of(leads[0])] == [bob.pk, alice.pk]
    assert [row[0] for row in rows_of(leads[1])] == [alice.pk]
    assert [(row[0], row[1]) for row in rows_of(leads[2])] == [(bob.pk, None), (None, bob.pk), (bob.pk, None)]


def test_row_knows_its_actor_and_door_and_reasons_do_not_leak(tenant, alice, bob, api):
    first, second = make_lead(tenant), make_lead(tenant)
    api(alice).post("/api/assignments/assign", {"leadId": first.pk, "assignedUserId": bob.pk, "reason": "Because"})
    with acting(alice) as by:
        edit_lead(lead_id=second.pk, data={"owner_id": bob.pk}, by=by)
    with inside(tenant.pk):
        rows = Assignment.objects.order_by("id")
        assert [(row.reason, row.door, row.assigned_by_id) for row in rows] == [("Because", "api", alice.pk), ("", "page", alice.pk)]


def test_row_vanishes_with_the_change(tenant, alice):
    lead = make_lead(tenant)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"owner_id": alice.pk}, by=by)
        transaction.set_rollback(True)
    assert rows_of(lead) == []


def test_period_ends_when_the_next_begins(tenant, alice, bob):
    lead = make_lead(tenant, owner=alice)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"owner_id": bob.pk}, by=by)
    with inside(tenant.pk):
        first, second = Assignment.objects.filter(lead=lead).order_by("id")
    assert first.until == second.at
    assert timezone.now() - second.at < timedelta(minutes=1)
