"""Bulk changes: by ids and by filters, row by row within the caller's rights, counted true, taken back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.services.undo import undo_operation
from crm.errors import Forbidden, InvalidInput
from crm.operations import runner
from crm.operations.models import Operation, OperationRow
from leads.enums import Priority
from leads.models import Lead, LeadCount
from leads.services import bulk
from leads.services.bin import KEPT_FOR, purge_bin
from leads.services.bulk import Selection, bulk_delete, bulk_edit, bulk_restore, preview_edit
from tests.factories import acting, inside, make_lead


def finish(user, operation: Operation) -> Operation:
    runner.run(operation.pk)
    with inside(user.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def edit(user, updates, *, ids=(), filters=None, without=(), **options) -> Operation:
    with acting(user) as by:
        operation = bulk_edit(selection=Selection(ids=ids, filters=filters, without=without), updates=updates, by=by, **options)
    return finish(user, operation)


def counters(operation: Operation) -> tuple[int, int, int, int]:
    return operation.done, operation.updated, operation.skipped, operation.failed


def loaded(*leads: Lead) -> list[Lead]:
    with inside(leads[0].tenant_id):
        found = {lead.pk: lead for lead in Lead.objects.select_related("status").filter(pk__in=[lead.pk for lead in leads])}
    return [found[lead.pk] for lead in leads]


def test_leads_named_by_id_are_changed_and_what_is_in_the_way_is_listed(alice, mallory, tenant):
    new, held = make_lead(tenant, priority=Priority.LOW), make_lead(tenant, priority=Priority.HIGH)
    foreign = make_lead(mallory.tenant)
    done = edit(alice, {"priority": Priority.HIGH, "add_tags": ["hot"]}, ids=[new.pk, held.pk, foreign.pk, 10**12, new.pk])
    assert counters(done) == (4, 2, 0, 2)
    assert [(lead.priority, lead.tags) for lead in loaded(new, held)] == [(Priority.HIGH, ["hot"])] * 2
    again = edit(alice, {"priority": Priority.HIGH, "add_tags": ["HOT"]}, ids=[new.pk])
    assert counters(again) == (1, 0, 1, 0)
    with inside(tenant.pk):
        assert {(row.row, row.field, row.values["id"]) for row in OperationRow.objects.filter(operation=done)} == {
            (3, "id", foreign.pk),
            (4, "id", 10**12),
        }
    assert loaded(foreign)[0].priority == Priority.MEDIUM


def test_leads_of_a_list_are_changed_each_once_though_they_leave_it(alice, tenant, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK_LEADS", 3)
    leads = [make_lead(tenant, priority=Priority.LOW) for _ in range(8)]
    other = make_lead(tenant, priority=Priority.HIGH)
    done = edit(alice, {"priority": Priority.CRITICAL}, filters={"priority": "low"}, without=[leads[4].pk])
    assert counters(done) == (7, 7, 0, 0)
    assert [lead.priority for lead in loaded(*leads, other)] == [4, 4, 4, 4, 1, 4, 4, 4, 3]
    with inside(tenant.pk):
        assert sum(LeadCount.objects.filter(priority=Priority.CRITICAL).values_list("leads", flat=True)) == 7


def test_leads_that_come_later_are_left_alone(alice, tenant):
    make_lead(tenant)
    with acting(alice) as by:
        operation = bulk_edit(selection=Selection(filters={}), updates={"industry": "Energy"}, by=by)
    late = make_lead(tenant)
    assert counters(finish(alice, operation)) == (1, 1, 0, 0)
    assert loaded(late)[0].industry == ""


def test_a_rep_changes_only_what_they_could_change_singly(alice, bob, tenant):
    mine, nobodys, hers = make_lead(tenant, owner=bob), make_lead(tenant), make_lead(tenant, owner=alice)
    done = edit(bob, {"industry": "Energy"}, ids=[mine.pk, nobodys.pk, hers.pk])
    assert counters(done) == (3, 2, 0, 1)
    assert [lead.industry for lead in loaded(mine, nobodys, hers)] == ["Energy", "Energy", ""]
    given = edit(bob, {"owner_id": alice.pk}, ids=[mine.pk, nobodys.pk])
    assert counters(given) == (2, 0, 0, 2)
    taken = edit(bob, {"owner_id": bob.pk}, ids=[mine.pk, nobodys.pk])
    assert counters(taken) == (2, 1, 1, 0)
    assert loaded(nobodys)[0].owner_id == bob.pk


def test_moves_follow_the_rules_unless_they_may_be_skipped(alice, bob, tenant):
    new, won = make_lead(tenant, status="new"), make_lead(tenant, status="won")
    with acting(alice) as by:
        preview = preview_edit(selection=Selection(ids=[new.pk, won.pk]), updates={"status": "qualified"}, by=by)
    assert (preview.matched, preview.changed, preview.refused) == (2, 1, 1)
    done = edit(alice, {"status": "qualified"}, ids=[new.pk, won.pk])
    assert counters(done) == (2, 1, 0, 1)
    assert [lead.status.code for lead in loaded(new, won)] == ["qualified", "won"]
    assert counters(edit(alice, {"status": "qualified"}, ids=[won.pk], skip_rules=True)) == (1, 1, 0, 0)
    with acting(bob) as by, pytest.raises(Forbidden):
        bulk_edit(selection=Selection(ids=[won.pk]), updates={"status": "new"}, skip_rules=True, by=by)


@pytest.mark.parametrize(
    ("updates", "field"),
    [
        ({}, "updates"),
        ({"status": "nonsense"}, "status"),
        ({"email": "one@x.example"}, "email"),
        ({"industry": "x" * 101}, "industry"),
        ({"owner_id": 10**9}, "assigned_to"),
        ({"add_tags": ["x" * 51]}, "tags"),
    ],
)
def test_what_no_lead_could_take_is_refused_at_once(alice, tenant, updates, field):
    lead = make_lead(tenant)
    with acting(alice) as by, pytest.raises(InvalidInput) as refusal:
        bulk_edit(selection=Selection(ids=[lead.pk]), updates=updates, by=by)
    assert list(refusal.value.problems) == [field]
    with inside(tenant.pk):
        assert not Operation.objects.exists()


def test_a_selection_names_leads_or_filters_that_are_right(alice, tenant):
    with acting(alice) as by:
        with pytest.raises(InvalidInput, match="at least one lead"):
            bulk_edit(selection=Selection(), updates={"industry": "x"}, by=by)
        with pytest.raises(InvalidInput) as refusal:
            bulk_edit(selection=Selection(filters={"status": "nonsense"}), updates={"industry": "x"}, by=by)
    assert list(refusal.value.problems) == ["status"]


def test_a_bulk_edit_is_taken_back_but_for_what_changed_since(alice, tenant):
    leads = [make_lead(tenant, industry="Legal", tags=["a"]) for _ in range(3)]
    done = edit(alice, {"industry": "Energy", "remove_tags": ["A"], "owner_id": alice.pk}, filters={"industry": "Legal"})
    edit(alice, {"industry": "Media"}, ids=[leads[2].pk])
    with acting(alice) as by:
        undo = undo_operation(operation=done, by=by)
    undone = finish(alice, undo)
    assert (undone.updated, undone.failed) == (2, 1)
    assert [(lead.industry, lead.tags, lead.owner_id) for lead in loaded(*leads)] == [
        ("Legal", ["a"], None),
        ("Legal", ["a"], None),
        ("Media", [], alice.pk),
    ]


def test_deleting_restoring_and_taking_back(alice, bob, tenant):
    leads = [make_lead(tenant) for _ in range(3)]
    with acting(bob) as by, pytest.raises(Forbidden):
        bulk_delete(selection=Selection(ids=[leads[0].pk]), by=by)
    with acting(alice) as by:
        operation = bulk_delete(selection=Selection(filters={}), reason="Outdated", by=by)
    deleted = finish(alice, operation)
    assert counters(deleted) == (3, 3, 0, 0)
    with inside(tenant.pk):
        assert not Lead.objects.live().exists()
    with acting(alice) as by:
        restored = bulk_restore(ids=[leads[0].pk, 10**12], by=by)
    assert counters(finish(alice, restored)) == (2, 1, 0, 1)
    with acting(alice) as by:
        undo = undo_operation(operation=deleted, by=by)
    undone = finish(alice, undo)
    assert (undone.updated, undone.failed) == (2, 1)
    with inside(tenant.pk):
        assert Lead.objects.live().count() == 3


def test_deleting_for_good_needs_its_own_right_and_leaves_nothing(alice, admin, tenant):
    lead = make_lead(tenant)
    with acting(alice) as by, pytest.raises(Forbidden):
        bulk_delete(selection=Selection(ids=[lead.pk]), for_good=True, by=by)
    with acting(admin) as by:
        operation = bulk_delete(selection=Selection(ids=[lead.pk]), for_good=True, by=by)
    assert counters(finish(admin, operation)) == (1, 1, 0, 0)
    with inside(tenant.pk):
        assert not Lead.objects.exists()


def test_the_bin_is_emptied_of_what_lay_there_for_its_time(alice, tenant):
    old, young, live = (make_lead(tenant) for _ in range(3))
    with inside(tenant.pk):
        Lead.objects.filter(pk=old.pk).update(deleted_at=timezone.now() - KEPT_FOR - timedelta(minutes=1))
        Lead.objects.filter(pk=young.pk).update(deleted_at=timezone.now() - KEPT_FOR + timedelta(minutes=1))
    assert purge_bin() == 1
    with inside(tenant.pk):
        assert set(Lead.objects.values_list("pk", flat=True)) == {young.pk, live.pk}


# --- what is said beforehand is what happens ---


def wishes(alice) -> list[dict]:
    soon = timezone.now().replace(microsecond=0) + timedelta(days=2)
    return [
        {"industry": " Energy "}, {"lead_source": "referral"}, {"company": ""}, {"priority": Priority.HIGH}, {"owner_id": alice.pk}, {"owner_id": None},
        {"add_tags": ["VIP"]}, {"remove_tags": ["VIP"]}, {"tags": ["vip", "vip "]}, {"next_follow_up_at": soon}, {"last_contact_at": soon},
        {"custom_fields": {"plan": "gold"}}, {"custom_fields": {"plan": None}}, {"notes": "x"}, {"conversion_probability": 0.5}, {"title": None},
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(16))
def test_a_dry_run_counts_what_the_run_then_does(alice, tenant, number):
    updates = wishes(alice)[number]
    make_lead(
        tenant, industry="Energy", lead_source="Referral", tags=["vip"], priority=Priority.HIGH, owner=alice, custom_fields={"plan": "gold"}
    )
    make_lead(tenant, company="Acme", tags=["Other"], title="CEO", notes="x")
    make_lead(tenant, custom_fields={"plan": "silver"}, conversion_probability=0.5)
    for _turn in range(2):
        with acting(alice) as by:
            preview = preview_edit(selection=Selection(filters={}), updates=updates, by=by)
        done = edit(alice, updates, filters={})
        assert (preview.changed, preview.unchanged, preview.refused) == (done.updated, done.skipped, done.failed)
    assert done.updated == 0


def test_filters_that_are_none_are_refused_where_leads_change(alice, tenant):
    make_lead(tenant)
    with acting(alice) as by:
        for act in (
            lambda selection: bulk_delete(selection=selection, by=by),
            lambda selection: bulk_edit(selection=selection, updates={"industry": "x"}, by=by),
            lambda selection: preview_edit(selection=selection, updates={"industry": "x"}, by=by),
            lambda selection: bulk.count_selected(selection=selection, by=by),
        ):
            with pytest.raises(InvalidInput) as refusal:
                act(Selection(filters={"stauts": "lost"}))
            assert list(refusal.value.problems) == ["stauts"]
