"""New leads find their owner by themselves: one, thousands, and from eight workers at once."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from assignments.enums import Skip
from assignments.models import Assignment, Capacity, CatchAllEntry, Decision, Leave
from assignments.receivers import place_captured
from assignments.selectors import count_waiting
from assignments.services.capture import assign_captured, retry_queues
from assignments.services.engine import Engine, Known
from assignments.services.running import active_rules, assign_by_rules
from assignments.services.simulation import simulate
from assignments.services.snapshot import read_rules, read_workers
from assignments.services.telling import tell_owners
from audit.services.undo import undo_operation
from crm.actors import Actor
from crm.events.services import deliver_outbox
from crm.operations.models import Operation
from crm.operations.runner import run
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from leads.events import LeadsCaptured
from leads.models import Lead, LeadStatus
from leads.services.drafts import LeadDraft
from leads.services.intake import capture_lead
from notifications.models import Notification
from tests.assignments.parts import decision_of, make_reps, make_rule, owners_of, waiting_in
from tests.factories import acting, inside, make_lead, make_tenant, make_user


def capture(by_user, **draft) -> Lead:
    with acting(by_user) as by:
        return capture_lead(draft=LeadDraft(**draft), by=by).lead


def test_captured_lead_is_given_and_the_owner_told(tenant, alice, bob):
    rule = make_rule(alice, user_id=bob.pk)
    lead = capture(alice, name="Jane Roe")
    deliver_outbox()
    assert owners_of(tenant) == {lead.pk: bob.pk}
    decision = decision_of(lead)
    assert (decision.rule_id, decision.version, decision.candidates, decision.skipped) == (rule.pk, 1, [bob.pk], {})
    with inside(tenant.pk):
        row = Assignment.objects.get()
        assert (row.rule_id, row.assigned_by_id, row.door) == (rule.pk, None, "task")
        assert [(note.user_id, note.title) for note in Notification.objects.all()] == [(bob.pk, "Jane Roe was given to you")]


def test_without_rules_and_with_an_owner_nothing_happens(tenant, alice, bob):
    first = capture(alice, name="Free")
    make_rule(alice, user_id=bob.pk)
    second = capture(alice, name="Owned", owner_id=alice.pk)
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[second.pk])
        assert not Decision.objects.exists()
    assert owners_of(tenant) == {second.pk: alice.pk}
    assert first.owner_id is None


def test_a_second_delivery_changes_nothing(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    make_rule(alice, "None", conditions={"field": "city", "op": "is", "value": "Rome"})
    leads = [make_lead(tenant) for _ in range(3)]
    event = LeadsCaptured(lead_ids=tuple(lead.pk for lead in leads), door="api")
    for _ in range(2):
        with tenant_scope(tenant.pk):
            place_captured([event])
    with inside(tenant.pk):
        assert (Assignment.objects.count(), Decision.objects.count()) == (3, 1)


def test_rules_are_asked_in_order_and_conditions_decide(tenant, alice):
    paris, rest, hot = make_reps(tenant, 3)
    make_rule(alice, "Hot", user_id=hot.pk, conditions={"all": [{"field": "priority", "op": "is", "value": "critical"}]})
    make_rule(alice, "Paris", user_id=paris.pk, conditions={"field": "city", "op": "is", "value": "Paris"})
    make_rule(alice, "Tagged", user_id=rest.pk, conditions={"field": "tags", "op": "has_all", "value": ["vip"]})
    leads = [
        make_lead(tenant, priority=4, city="Paris"),
        make_lead(tenant, city="Paris"),
        make_lead(tenant, tags=["vip"]),
        make_lead(tenant),
    ]
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk for lead in leads])
    assert list(owners_of(tenant).values()) == [hot.pk, paris.pk, rest.pk]
    assert waiting_in(tenant) == [leads[3].pk]


def test_rule_whose_conditions_became_unreadable_is_passed_over(tenant, alice, bob):
    rule = make_rule(alice, "Broken", user_id=alice.pk)
    make_rule(alice, "Rest", user_id=bob.pk)
    with inside(tenant.pk):
        rule.conditions = {"field": "cf_gone", "op": "is", "value": "x"}
        rule.save()
    lead = make_lead(tenant)
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk])
    assert owners_of(tenant) == {lead.pk: bob.pk}


def test_what_nobody_can_take_waits_managers_are_told_and_it_goes_when_somebody_comes(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    with inside(tenant.pk):
        leave = Leave.objects.create(user=bob, first_day=timezone.localdate(), last_day=timezone.localdate())
    lead, old = make_lead(tenant), make_lead(tenant)
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk, old.pk])
        CatchAllEntry.objects.filter(lead=old).update(since=timezone.now() - timedelta(days=40))
        entry = CatchAllEntry.objects.select_related("decision").get(lead=lead)
        assert entry.decision.passed == [
            {"rule": entry.decision.passed[0]["rule"], "why": "no_candidate", "skipped": {"on_leave": [bob.pk]}}
        ]
        assert [(note.user_id, note.url) for note in Notification.objects.filter(kind="catch_all_grew")] == [
            (alice.pk, "/assignments/queue")
        ]
    assert retry_queues() == 0
    with inside(tenant.pk):
        leave.delete()
        capacity = Capacity.objects.create(user=bob, takes_leads=False)
    assert retry_queues() == 0
    with inside(tenant.pk):
        assert CatchAllEntry.objects.get(lead=lead).decision.passed[0]["skipped"] == {"paused": [bob.pk]}
        capacity.delete()
    assert retry_queues() == 1
    assert (waiting_in(tenant), owners_of(tenant)) == ([old.pk], {lead.pk: bob.pk})
    assert retry_queues() == 0


def test_queue_forgets_a_lead_that_somebody_takes(tenant, alice, bob):
    make_rule(alice, conditions={"field": "city", "op": "is", "value": "Rome"})
    lead = make_lead(tenant)
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk])
        assert waiting_in(tenant) == [lead.pk]
        Lead.objects.filter(pk=lead.pk).update(owner=bob)
    assert waiting_in(tenant) == []


def test_taking_back_an_import_takes_its_assigned_leads_too(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    with inside(tenant.pk):
        operation = Operation.objects.create(kind="leads.import", title="File", state="done", created_by=alice, created=2, done=2)
    leads = [make_lead(tenant, operation_id=operation.pk) for _ in range(2)]
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk for lead in leads])
    with acting(alice) as by:
        undo = undo_operation(operation=operation, by=by)
    run(undo.pk)
    with inside(tenant.pk):
        assert not Lead.objects.live().exists()
        assert Operation.objects.get(pk=undo.pk).failed == 0


def test_owner_is_told_once_of_many_and_not_of_what_they_took_themselves(tenant, alice, bob):
    for _ in range(3):
        make_lead(tenant, owner=bob)
    with inside(tenant.pk):
        ids = list(Lead.objects.values_list("pk", flat=True))
        assert tell_owners(lead_ids=ids, owner_id=bob.pk) == 1
        Assignment.objects.update(assigned_by_id=bob.pk)
        assert tell_owners(lead_ids=ids, owner_id=bob.pk) == 0
        assert [note.title for note in Notification.objects.all()] == ["3 leads were given to you"]


def test_closed_leads_leave_the_queue_and_are_not_counted(tenant, alice, bob, pages):
    make_rule(alice, conditions={"field": "city", "op": "is", "value": "Rome"})
    leads = [make_lead(tenant), make_lead(tenant)]
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk for lead in leads])
        Lead.objects.filter(pk=leads[0].pk).update(status=LeadStatus.objects.get(code="lost"))
        assert count_waiting() == 1
    assert pages(alice).get("/assignments").context["waiting"] == 1
    retry_queues()
    assert waiting_in(tenant) == [leads[1].pk]


def test_who_comes_free_while_the_queue_is_tried_is_a_reason_to_try_again(tenant, alice, bob, monkeypatch):
    make_rule(alice, user_id=bob.pk)
    with inside(tenant.pk):
        Capacity.objects.create(user=bob, takes_leads=False)
    lead = make_lead(tenant)
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk])

    def meanwhile(**arguments):
        placed = assign_by_rules(**arguments)
        Capacity.objects.all().delete()
        return placed

    monkeypatch.setattr("assignments.services.capture.assign_by_rules", meanwhile)
    assert [retry_queues(), retry_queues()] == [0, 1]


@pytest.mark.parametrize(
    ("at", "last_day", "away"),
    [
        (datetime(2026, 12, 1, 3, tzinfo=UTC), date(2026, 11, 30), True),
        (datetime(2026, 12, 1, 6, tzinfo=UTC), date(2026, 11, 30), False),
        (datetime(2026, 11, 30, 16, tzinfo=UTC), date(2026, 11, 30), True),
    ],
)
def test_leave_ends_with_the_day_of_the_person(tenant, alice, bob, at, last_day, away):
    with inside(tenant.pk):
        Tenant.objects.filter(pk=tenant.pk).update(time_zone="America/New_York")
        Leave.objects.create(user=bob, first_day=last_day, last_day=last_day)
    rule = make_rule(alice, user_id=bob.pk)
    with tenant_scope(tenant.pk):
        read = read_rules([rule])
        engine = Engine(rules=read, workers=read_workers(at=at, rules=read), known=Known(), credits={}, at=at)
        assert (engine.why_not(bob.pk, read[0]) == Skip.ON_LEAVE) is away


def test_simulator_heeds_the_leave_of_last_month(tenant, alice):
    away, here = make_reps(tenant, 2)
    make_rule(alice)
    now = datetime(2026, 12, 2, 12, tzinfo=UTC)
    with inside(tenant.pk):
        Leave.objects.create(user=away, first_day=date(2026, 11, 10), last_day=date(2026, 11, 20))
    for number in range(4):
        make_lead(tenant, created_at=datetime(2026, 11, 12 + number, 12, tzinfo=UTC))
    with tenant_scope(tenant.pk):
        assert simulate(rules=active_rules(), at=now).would == {here.pk: 4}


def test_deleted_and_closed_leads_are_left_alone(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    leads = [make_lead(tenant, deleted_at=timezone.now()), make_lead(tenant, status="won")]
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk for lead in leads])
    assert owners_of(tenant) == {}


@pytest.mark.parametrize("number", [3, 60])
def test_query_count_does_not_grow_with_the_leads(tenant, alice, django_assert_max_num_queries, number):
    make_reps(tenant, 3)
    make_rule(alice)
    ids = [make_lead(tenant).pk for _ in range(number)]
    with tenant_scope(tenant.pk), django_assert_max_num_queries(48):
        assign_captured(lead_ids=ids)
    assert len(owners_of(tenant)) == number


@pytest.mark.slow
def test_eight_workers_at_once_keep_capacities_and_turns(committed_db):
    tenant = make_tenant()
    alice, reps = make_user(tenant), []
    reps = make_reps(tenant, 4)
    with inside(tenant.pk):
        Capacity.objects.create(user=reps[0], in_total=5)
    make_rule(alice)
    ids = [make_lead(tenant).pk for _ in range(160)]
    start, errors = threading.Barrier(8), []

    def work(number: int) -> None:
        start.wait()
        try:
            for place in range(number, 160, 8):
                with tenant_scope(tenant.pk):
                    assign_by_rules(lead_ids=[ids[place]], by=Actor.system(tenant_id=tenant.pk))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    given = list(owners_of(tenant).values())
    got = {user.pk: given.count(user.pk) for user in reps}
    assert got[reps[0].pk] == 5
    others = [got[user.pk] for user in reps[1:]]
    assert sum(others) == 155
    assert max(others) - min(others) <= 1
