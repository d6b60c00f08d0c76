"""Changing a lead: fields, status, owner, history."""

from datetime import timedelta

import pytest
from django.db import connection

from crm.actors import Door
from crm.errors import Forbidden, InvalidInput, NotFound
from leads.errors import InvalidTransition
from leads.models import Lead, LeadShare
from leads.services import editing
from leads.services.bin import binned_leads, delete_lead, delete_leads, restore_lead
from leads.services.editing import edit_lead
from tests.factories import acting, make_lead, make_team, make_user


def edit(by, lead, **data):
    return edit_lead(lead_id=lead.pk, data=data, by=by)


def test_edit_lead_changes_what_is_given_and_says_so(alice, tenant):
    lead = make_lead(tenant, first_name="Jane", email="jane@acme.example", company="Old")
    with acting(alice) as by:
        edited = edit(by, lead, name="Janet Roe", company="New", phone="(415) 555-0134", email="jane@acme.example")
        stored = Lead.objects.get(pk=lead.pk)
    assert sorted(edited.fields_changed) == ["company", "first_name", "last_name", "phone"]
    assert (stored.first_name, stored.last_name, stored.company, stored.phone) == ("Janet", "Roe", "New", "+14155550134")
    assert edited.rescored
    assert stored.score > 0


def test_edit_lead_without_a_difference_writes_nothing(alice, tenant, django_assert_max_num_queries):
    lead = make_lead(tenant, company="Same")
    with acting(alice) as by:
        edited = edit(by, lead, company=" Same ", status="New")
        assert (edited.fields_changed, edited.rescored) == ([], False)
        assert not lead.history.exists()
        assert Lead.objects.get(pk=lead.pk).updated_at == lead.updated_at


def test_edit_lead_publishes_what_happened(alice, bob, tenant, monkeypatch):
    lead = make_lead(tenant)
    told = []
    monkeypatch.setattr(editing, "publish", told.append)
    with acting(alice) as by:
        edit(by, lead, status="qualified", owner_id=bob.pk)
    assert [event.name for event in told] == ["lead.status_changed", "lead.assigned", "lead.changed"]
    assert set(told[2].fields) >= {"status", "assigned_to"}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"email": "nope"}, "email"),
        ({"company": "x" * 201}, "company"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"status": "dreaming"}, "status"),
        ({"owner_id": 10**12}, "assigned_to"),
    ],
)
def test_edit_lead_refuses_by_field_and_keeps_the_rest(alice, tenant, data, field):
    lead = make_lead(tenant, company="Old", title="Old")
    with acting(alice) as by:
        with pytest.raises(InvalidInput) as refusal:
            edit(by, lead, title="New", **data)
        assert set(refusal.value.problems) == {field}
        assert Lead.objects.get(pk=lead.pk).title == "Old"


def test_probability_set_by_hand_is_pinned_until_cleared(alice, tenant):
    lead = make_lead(tenant)
    with acting(alice) as by:
        assert edit(by, lead, conversion_probability=0.4).lead.probability_pinned is True
        cleared = edit(by, lead, conversion_probability=None).lead
    assert (cleared.conversion_probability, cleared.probability_pinned) == (None, False)


# --- statuses ---

ALLOWED = {
    "new": {"qualified", "lost"},
    "qualified": {"contacted", "lost"},
    "contacted": {"meeting_scheduled", "proposal_sent", "lost"},
    "meeting_scheduled": {"contacted", "proposal_sent", "lost"},
    "proposal_sent": {"negotiation", "won", "lost"},
    "negotiation": {"proposal_sent", "won", "lost"},
    "lost": {"new"},
    "won": set(),
}


@pytest.mark.parametrize("source", ALLOWED)
def test_only_the_allowed_transitions_are_made(alice, tenant, source):
    with acting(alice) as by:
        for target in set(ALLOWED) - {source}:
            lead = make_lead(tenant, status=source)
            if target in ALLOWED[source]:
                assert edit(by, lead, status=target).lead.status.code == target
            else:
                with pytest.raises(InvalidTransition) as refusal:
                    edit(by, lead, status=target)
                assert {status["name"] for status in refusal.value.details["allowed"]} == ALLOWED[source]


def test_manager_skips_the_rules_and_a_rep_does_not(alice, bob, tenant):
    lead = make_lead(tenant, owner=bob)
    with acting(bob) as by, pytest.raises(Forbidden):
        edit(by, lead, status="won", skip_rules=True)
    with acting(alice) as by:
        assert edit(by, lead, status="won", skip_rules=True).lead.status.code == "won"


def test_losing_keeps_the_reason_and_reopening_drops_it(alice, tenant):
    lead = make_lead(tenant)
    with acting(alice) as by:
        lost = edit(by, lead, status="lost", lost_reason="no_budget").lead
        assert (lost.status.code, lost.lost_reason, lost.lifecycle_stage) == ("lost", "no_budget", "Closed")
        assert edit(by, lead, status="Not Interested").lead.lost_reason == "not_interested"
        again = edit(by, lead, status="new").lead
    assert (again.status.code, again.lost_reason, again.lifecycle_stage) == ("new", "", "Lead")


# --- owners ---


def test_rep_takes_and_gives_back_but_gives_to_nobody_else(alice, bob, tenant):
    free = make_lead(tenant)
    with acting(bob) as by:
        assert edit(by, free, owner_id=bob.pk).lead.owner_id == bob.pk
        with pytest.raises(Forbidden):
            edit(by, free, owner_id=alice.pk)
        given_back = edit(by, free, owner_id=None).lead
    assert (given_back.owner_id, given_back.assigned_at) == (None, None)


def test_rep_does_not_take_from_a_colleague(alice, bob, tenant):
    shared = make_lead(tenant, owner=alice)
    with acting(alice):
        LeadShare.objects.create(lead=shared, user=bob)
    with acting(bob) as by:
        assert edit(by, shared, company="Seen").fields_changed == ["company"]
        with pytest.raises(Forbidden):
            edit(by, shared, owner_id=bob.pk)


def test_manager_gives_to_anyone_active(alice, bob, tenant):
    gone = make_user(tenant, role="sales_rep", is_active=False)
    lead = make_lead(tenant)
    with acting(alice) as by:
        assert edit(by, lead, owner_id=bob.pk).lead.owner == bob
        with pytest.raises(InvalidInput):
            edit(by, lead, owner_id=gone.pk)


def test_support_reads_and_does_not_write(tenant):
    support, lead = make_user(tenant, role="support"), make_lead(tenant)
    with acting(support) as by, pytest.raises(Forbidden):
        edit(by, lead, company="X")


def test_lead_out_of_sight_is_not_found(alice, bob, mallory, tenant):
    lead = make_lead(tenant, owner=alice)
    for user in (bob, mallory):
        with acting(user) as by, pytest.raises(NotFound):
            edit(by, lead, company="X")


# --- who sees what ---


def test_rep_sees_own_unassigned_and_shared_leads_only(alice, bob, tenant):
    own, free, shared, by_team, hidden = (
        make_lead(tenant, owner=bob), make_lead(tenant), make_lead(tenant, owner=alice), make_lead(tenant, owner=alice), make_lead(tenant, owner=alice),
    )  # fmt: skip
    team = make_team(tenant, bob)
    with acting(alice) as manager:
        LeadShare.objects.create(lead=shared, user=bob)
        LeadShare.objects.create(lead=by_team, team=team)
        LeadShare.objects.create(lead=own, user=bob)
        everything = set(editing.leads_visible_to(manager))
    with acting(bob) as by:
        seen = set(editing.leads_visible_to(by))
    assert seen == {own, free, shared, by_team}
    assert everything == {own, free, shared, by_team, hidden}


# --- the bin ---


def test_deleted_lead_is_in_the_bin_and_comes_back_as_it_was(alice, tenant):
    lead = make_lead(tenant, company="Kept")
    with acting(alice) as by:
        delete_lead(lead_id=lead.pk, by=by)
        assert not Lead.objects.live().filter(pk=lead.pk).exists()
        assert list(binned_leads(by)) == [lead]
        with pytest.raises(NotFound):
            delete_lead(lead_id=lead.pk, by=by)
        restored = restore_lead(lead_id=lead.pk, by=by)
        assert (restored.deleted_at, restored.company) == (None, "Kept")
        with pytest.raises(NotFound):
            restore_lead(lead_id=lead.pk, by=by)


def test_bin_forgets_after_thirty_days(alice, tenant):
    lead = make_lead(tenant)
    with acting(alice) as by:
        Lead.objects.filter(pk=lead.pk).update(deleted_at=lead.created_at - timedelta(days=31))
        assert not binned_leads(by).exists()
        with pytest.raises(NotFound):
            restore_lead(lead_id=lead.pk, by=by)


def test_delete_leads_passes_over_what_is_out_of_sight(alice, mallory, bob, tenant, next_door):
    mine, theirs = make_lead(tenant), make_lead(next_door)
    with acting(bob) as by, pytest.raises(Forbidden):
        delete_leads(lead_ids=[mine.pk], by=by)
    with acting(alice) as by:
        assert delete_leads(lead_ids=[mine.pk, theirs.pk, 10**9], by=by) == (mine.pk,)
    with acting(mallory):
        assert Lead.objects.live().filter(pk=theirs.pk).exists()


# --- history ---


def steps(lead):
    return [
        (row.pgh_label, row.company, (row.pgh_context or {}).get("actor"), (row.pgh_context or {}).get("door"))
        for row in lead.history.order_by("pgh_id")
    ]


def test_every_way_of_writing_leaves_the_old_row_with_actor_and_door(alice, tenant):
    lead = make_lead(tenant, company="0")
    with acting(alice, door=Door.API) as by:
        edit(by, lead, company="1")
        Lead.objects.filter(pk=lead.pk).update(company="2")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE leads_lead SET company = '3' WHERE id = %s", [lead.pk])
        loaded = Lead.objects.get(pk=lead.pk)
        loaded.company = "4"
        Lead.objects.bulk_update([loaded], ["company"])
        assert steps(lead) == [("changed", str(number), "Alice Archer", "api") for number in range(4)]
        assert {row.pgh_context["user"] for row in lead.history.all()} == {alice.pk}
        loaded.delete()
        history = Lead.history.rel.related_model
        assert history.objects.filter(pgh_obj_id=lead.pk).latest("pgh_id").pgh_label == "deleted"


def test_history_names_the_request_and_the_operation(alice, tenant):
    from crm.tenancy.scope import tenant_scope

    lead = make_lead(tenant, company="0")
    with tenant_scope(tenant.pk, request_id="req-1", operation_id=5):
        Lead.objects.filter(pk=lead.pk).update(company="1")
        assert lead.history.get().pgh_context == {"actor": "system", "door": "task", "request": "req-1", "operation": 5}


def test_machine_computed_values_make_no_history(alice, tenant):
    lead = make_lead(tenant)
    with acting(alice):
        Lead.objects.filter(pk=lead.pk).update(score=50, quality_grade="C", lifecycle_stage="Engaged Lead")
        assert not lead.history.exists()


def test_history_vanishes_with_the_change_that_was_undone(alice, tenant):
    from django.db import transaction

    lead = make_lead(tenant, company="0")
    with acting(alice) as by:
        with transaction.atomic():
            edit(by, lead, company="1")
            transaction.set_rollback(True)
        assert not lead.history.exists()


@pytest.mark.parametrize("field", ["next_follow_up", "last_contact"])
def test_a_moment_that_cannot_be_meant_is_refused_at_the_door(api, alice, tenant, field):
    lead = make_lead(tenant)
    for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        answer = api(alice).patch(f"/api/leads/{lead.pk}", {field: moment})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    answer = api(alice).post("/api/leads", {"name": "Ann Archer", "next_follow_up": "9999-12-31T23:59:59Z"})
    assert answer.status_code == 400
