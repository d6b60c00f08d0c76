"""The clocks of service levels: when they start and stop, what they do when time runs out, and that they do it once."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction

from audit.models import AuditEvent
from crm.errors import InvalidInput
from crm.events.services import deliver_outbox
from crm.operations import runner
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from leads.services.drafts import LeadDraft
from leads.services.editing import edit_lead
from leads.services.intake import capture_lead
from notifications.models import Notification
from pipeline.enums import SlaState
from pipeline.models import SlaClock
from pipeline.services import escalation
from pipeline.services.clocks import refresh_clocks
from pipeline.services.policies import NotRunning, PolicySettings, pause_clocks, resume_clocks, save_policy
from tests.factories import acting, make_lead, make_team, make_user

# A Wednesday.
AT = datetime(2024, 6, 12, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def round_the_clock(tenant):
    tenant.working_hours = {}
    tenant.save(update_fields=["working_hours"])


def policy(alice, **settings):
    with acting(alice) as by:
        return save_policy(
            policy=None, wanted=PolicySettings(**{"name": "Answer", "target_minutes": 60, "hours": "always", **settings}), by=by
        )


def clock_of(lead, **filters) -> SlaClock:
    with tenant_scope(lead.tenant_id):
        return SlaClock.objects.select_related("policy").get(lead=lead, **filters)


def lead_at(tenant, at=AT, **fields):
    lead = make_lead(tenant, created_at=at, status_changed_at=at, **fields)
    with tenant_scope(tenant.pk):
        refresh_clocks(lead_ids=[lead.pk], now=at)
    return lead


def escalate_at(tenant, at):
    with time_machine.travel(at, tick=False):
        return escalation.escalate_due()


def told(tenant):
    with tenant_scope(tenant.pk):
        return list(Notification.objects.order_by("pk").values_list("kind", "user_id"))


def test_a_captured_lead_gets_its_clock_from_the_event(tenant, alice):
    policy(alice)
    with acting(alice) as by:
        lead = capture_lead(draft=LeadDraft(first_name="Ann", last_name="Lee"), by=by).lead
    deliver_outbox()
    clock = clock_of(lead)
    assert (clock.started_at, clock.due_at, clock.state) == (lead.created_at, lead.created_at + timedelta(minutes=60), "on_track")
    assert clock.soon_at == lead.created_at + timedelta(minutes=45)


def test_working_time_of_the_tenant_counts(tenant, alice):
    tenant.working_hours = {str(day): ["09:00", "17:00"] for day in range(5)}
    tenant.save(update_fields=["working_hours"])
    policy(alice, hours="tenant", target_minutes=120)
    friday_evening = datetime(2024, 6, 14, 16, 30, tzinfo=UTC)
    assert clock_of(lead_at(tenant, friday_evening)).due_at == datetime(2024, 6, 17, 10, 30, tzinfo=UTC)


def test_the_clock_of_the_leads_number_and_of_the_owner(tenant, alice):
    tenant.working_hours = {str(day): ["09:00", "17:00"] for day in range(5)}
    tenant.save(update_fields=["working_hours"])
    policy(alice, hours="lead", target_minutes=60)
    # 03:00 in Los Angeles: the hour begins at 09:00 there.
    lead = lead_at(tenant, phone="+13105550123")
    assert clock_of(lead).due_at == datetime(2024, 6, 12, 17, tzinfo=UTC)
    rep = make_user(tenant, role="sales_rep", time_zone="Asia/Tokyo")
    with acting(alice) as by:
        save_policy(policy=clock_of(lead).policy, wanted=PolicySettings(name="Answer", target_minutes=60, hours="team"), by=by)
        Lead.objects.filter(pk=lead.pk).update(owner=rep)
        refresh_clocks(lead_ids=[lead.pk], now=AT)
    assert clock_of(lead).due_at == datetime(2024, 6, 13, 1, tzinfo=UTC)


def test_the_first_policy_that_fits_counts(tenant, alice):
    policy(alice, name="Urgent", target_minutes=5, conditions={"field": "priority", "op": "is", "value": "critical"}, position=1)
    policy(alice, name="Usual", target_minutes=60, position=2)
    urgent, usual = lead_at(tenant, priority=4), lead_at(tenant)
    assert [clock_of(lead).policy.name for lead in (urgent, usual)] == ["Urgent", "Usual"]
    with acting(alice) as by:
        edit_lead(lead_id=usual.pk, data={"priority": 4}, by=by)
    deliver_outbox()
    clock = clock_of(usual)
    assert (clock.policy.name, clock.started_at) == ("Urgent", AT)


@pytest.mark.parametrize(("minutes", "state"), [(30, "met"), (90, "breached")])
def test_a_contact_ends_the_first_response(tenant, alice, minutes, state):
    policy(alice)
    lead = lead_at(tenant)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"last_contact_at": AT + timedelta(minutes=minutes)}, by=by)
    deliver_outbox()
    clock = clock_of(lead)
    assert (clock.state, clock.ended_at, clock.next_at) == (state, AT + timedelta(minutes=minutes), None)


def test_a_contact_taken_back_lets_the_clock_go_on(tenant, alice):
    policy(alice)
    lead = lead_at(tenant)
    with tenant_scope(tenant.pk):
        for contact, ended in ((AT + timedelta(minutes=5), False), (None, True)):
            Lead.objects.filter(pk=lead.pk).update(last_contact_at=contact)
            refresh_clocks(lead_ids=[lead.pk], now=AT + timedelta(minutes=6))
            assert (SlaClock.objects.get().ended_at is None) is ended
    assert clock_of(lead).due_at == AT + timedelta(minutes=60)


def test_time_in_a_stage_starts_anew_with_every_stay(tenant, alice):
    policy(alice, kind="time_in_stage", status=2, target_minutes=600)
    lead = lead_at(tenant)
    with tenant_scope(tenant.pk):
        assert not SlaClock.objects.exists()
    for code in ("qualified", "contacted"):
        with acting(alice) as by:
            edit_lead(lead_id=lead.pk, data={"status": code}, by=by)
        deliver_outbox()
    assert clock_of(lead).state == SlaState.MET


def test_the_bin_drops_running_clocks_and_brings_them_back(tenant, alice):
    policy(alice)
    lead = lead_at(tenant)
    with tenant_scope(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(deleted_at=AT)
        refresh_clocks(lead_ids=[lead.pk], now=AT)
        assert not SlaClock.objects.exists()
        Lead.objects.filter(pk=lead.pk).update(deleted_at=None)
        refresh_clocks(lead_ids=[lead.pk], now=AT)
        assert SlaClock.objects.get().started_at == AT


def test_due_soon_and_breach_are_told_once_each(tenant, alice):
    policy(alice)
    lead = lead_at(tenant, owner=alice)
    assert escalate_at(tenant, AT + timedelta(minutes=44)) == 0
    assert escalate_at(tenant, AT + timedelta(minutes=46)) == 1
    assert clock_of(lead).state == SlaState.DUE_SOON
    assert escalate_at(tenant, AT + timedelta(minutes=47)) == 0
    assert escalate_at(tenant, AT + timedelta(minutes=61)) == 1
    assert clock_of(lead).state == SlaState.BREACHED
    assert escalate_at(tenant, AT + timedelta(days=3)) == 0
    assert told(tenant) == [("sla_due_soon", alice.pk), ("sla_breached", alice.pk)]


def test_a_worker_killed_in_between_changes_nothing_and_another_does_all_once(tenant, alice, monkeypatch):
    policy(alice, steps=[{"minutes": 0, "action": "raise_priority"}])
    lead = lead_at(tenant, owner=alice)

    def die(*_, **__):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(escalation, "publish", die)
        patch.setattr(escalation, "SlaBreached", lambda **_: None)
        with pytest.raises(SystemExit), transaction.atomic():
            escalate_at(tenant, AT + timedelta(minutes=61))
    assert (told(tenant), clock_of(lead).state) == ([], SlaState.ON_TRACK)
    assert escalate_at(tenant, AT + timedelta(minutes=61)) == 1
    with tenant_scope(tenant.pk):
        lead.refresh_from_db()
    assert (lead.priority, clock_of(lead).steps_done, told(tenant)) == (3, 1, [("sla_breached", alice.pk)])


def test_steps_come_before_at_and_after_the_breach(tenant, alice, bob):
    manager = make_user(tenant)
    with tenant_scope(tenant.pk):
        team = make_team(tenant, alice)
        team.manager = manager
        team.save()
    policy(
        alice,
        steps=[
            {"minutes": 30, "action": "reassign", "user": bob.pk},
            {"minutes": -50, "action": "notify_manager"},
            {"minutes": 0, "action": "raise_priority"},
        ],
    )
    lead = lead_at(tenant, owner=alice)
    escalate_at(tenant, AT + timedelta(minutes=11))
    assert told(tenant) == [("sla_due_soon", manager.pk)]
    escalate_at(tenant, AT + timedelta(minutes=60))
    escalate_at(tenant, AT + timedelta(minutes=89))
    with tenant_scope(tenant.pk):
        lead.refresh_from_db()
    assert (lead.priority, lead.owner_id) == (3, alice.pk)
    escalate_at(tenant, AT + timedelta(minutes=90))
    with tenant_scope(tenant.pk):
        lead.refresh_from_db()
    assert lead.owner_id == bob.pk


def test_a_step_that_cannot_be_taken_leaves_the_others_alone(tenant, alice, bob):
    policy(alice, steps=[{"minutes": 0, "action": "reassign", "user": bob.pk}, {"minutes": 1, "action": "raise_priority"}])
    lead = lead_at(tenant, owner=alice)
    with tenant_scope(tenant.pk):
        bob.is_active = False
        bob.save()
    escalate_at(tenant, AT + timedelta(minutes=62))
    with tenant_scope(tenant.pk):
        lead.refresh_from_db()
    assert (lead.owner_id, lead.priority, clock_of(lead).steps_done) == (alice.pk, 3, 2)


def test_what_lies_behind_a_policy_made_today_is_not_told(tenant, alice):
    old = make_lead(tenant, created_at=AT, status_changed_at=AT, owner=alice)
    with time_machine.travel(AT + timedelta(days=300), tick=False):
        policy(alice, steps=[{"minutes": 0, "action": "raise_priority"}])
        with tenant_scope(tenant.pk):
            operation = Operation.objects.get(kind="pipeline.sla_recompute")
        runner.run(operation.pk)
    assert (clock_of(old).state, clock_of(old).next_at, clock_of(old).steps_done) == (SlaState.BREACHED, None, 1)
    assert escalate_at(tenant, AT + timedelta(days=301)) == 0
    assert told(tenant) == []


def test_a_changed_policy_is_worked_out_anew(tenant, alice):
    made = policy(alice)
    lead = lead_at(tenant)
    with acting(alice) as by:
        save_policy(policy=made, wanted=PolicySettings(name="Answer", target_minutes=240, hours="always"), by=by)
        operation = Operation.objects.latest("pk")
    runner.run(operation.pk)
    assert clock_of(lead).due_at == AT + timedelta(minutes=240)
    with acting(alice) as by:
        save_policy(policy=made, wanted=PolicySettings(name="Answer", target_minutes=240, is_active=False), by=by)
        operation = Operation.objects.latest("pk")
    runner.run(operation.pk)
    with tenant_scope(tenant.pk):
        operation.refresh_from_db()
        assert (SlaClock.objects.count(), operation.state) == (0, "done")


def test_a_pause_puts_the_due_time_off(tenant, alice):
    policy(alice)
    lead = lead_at(tenant)
    with acting(alice) as by:
        assert pause_clocks(lead_id=lead.pk, now=AT + timedelta(minutes=20), by=by) == 1
        assert clock_of(lead).state == SlaState.PAUSED
        with pytest.raises(NotRunning):
            pause_clocks(lead_id=lead.pk, now=AT, by=by)
        refresh_clocks(lead_ids=[lead.pk], now=AT + timedelta(minutes=30))
    assert escalate_at(tenant, AT + timedelta(hours=5)) == 0
    with acting(alice) as by:
        assert resume_clocks(lead_id=lead.pk, now=AT + timedelta(hours=10), by=by) == 1
    clock = clock_of(lead)
    assert (clock.state, clock.due_at) == (SlaState.ON_TRACK, AT + timedelta(hours=10, minutes=40))


def test_a_breach_cannot_be_paused_away_and_a_pause_is_audited(tenant, alice, bob):
    policy(alice)
    late, soon = lead_at(tenant, owner=bob), lead_at(tenant, owner=bob)
    with acting(bob) as by:
        with pytest.raises(NotRunning, match="run out"):
            pause_clocks(lead_id=late.pk, now=AT + timedelta(hours=2), by=by)
        pause_clocks(lead_id=soon.pk, now=AT + timedelta(minutes=5), by=by)
        act = AuditEvent.objects.get()
    assert (act.action, act.user_id, act.details["lead"]) == ("sla_paused", bob.pk, soon.pk)


def test_steps_due_at_once_build_on_each_other(tenant, alice, bob):
    step = {"minutes": 0, "action": "raise_priority"}
    policy(alice, steps=[step, step])
    lead = lead_at(tenant, owner=bob, priority=1)
    escalate_at(tenant, AT + timedelta(hours=3))
    with tenant_scope(tenant.pk):
        assert Lead.objects.get(pk=lead.pk).priority == 3


def test_the_managers_hear_of_a_breach_whose_owner_is_gone(tenant, alice, bob):
    policy(alice)
    lead_at(tenant, owner=bob)
    bob.is_active = False
    with tenant_scope(tenant.pk):
        bob.save()
    escalate_at(tenant, AT + timedelta(hours=3))
    assert told(tenant) == [("sla_breached", alice.pk)]


def test_one_tenants_trouble_is_not_the_next_ones(tenant, next_door, alice, monkeypatch):
    seen = []

    def stumble(tenant_id: int) -> int:
        seen.append(tenant_id)
        if tenant_id == tenant.pk:
            raise ZeroDivisionError
        return 1

    monkeypatch.setattr(escalation, "_escalate_tenant", stumble)
    assert escalation.escalate_due() == 1
    assert {tenant.pk, next_door.pk} <= set(seen)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"target_minutes": 0}, "target_minutes"),
        ({"kind": "soon"}, "kind"),
        ({"hours": "never"}, "hours"),
        ({"due_soon_share": 101}, "due_soon_share"),
        ({"kind": "time_in_stage", "status": 77}, "status"),
        ({"conditions": {"field": "nothing"}}, "conditions"),
        ({"steps": [{"minutes": 1, "action": "dance"}]}, "steps"),
        ({"steps": [{"minutes": 1, "action": "reassign", "user": 0}]}, "steps"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_field(tenant, alice, wrong, field):
    with pytest.raises(InvalidInput) as refused:
        policy(alice, **wrong)
    assert list(refused.value.problems) == [field]


@pytest.mark.parametrize("leads", [1, 3])
def test_refreshing_asks_the_same_number_of_queries_however_many_leads(tenant, alice, leads, django_assert_max_num_queries):
    policy(alice, conditions={"field": "tags", "op": "has_any", "value": ["vip"]})
    ids = [make_lead(tenant, tags=["vip"]).pk for _ in range(leads)]
    with tenant_scope(tenant.pk), django_assert_max_num_queries(10):
        assert refresh_clocks(lead_ids=ids, now=AT) == leads
