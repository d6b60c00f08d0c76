"""The pages of stages and service levels."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from crm.tenancy.scope import tenant_scope
from leads.models import LeadStatus, LeadTransition
from pipeline.models import LeadStage, SlaClock, SlaPolicy
from pipeline.pages.today import sla_items
from pipeline.services.clocks import refresh_clocks
from tests.factories import acting, inside, make_lead, make_user

AT = datetime(2024, 6, 12, 10, tzinfo=UTC)
FORM = {
    "name": "Answer", "kind": "first_response", "status": "", "target": "2", "unit": "60", "hours": "always", "due_soon_share": "75",
    "is_active": "on", "position": "",
    "step0_minutes": "15", "step0_when": "-1", "step0_action": "notify_manager", "step0_user": "",
}  # fmt: skip


@pytest.fixture
def client(alice, pages):
    return pages(alice)


def make_policy(tenant, **fields):
    with tenant_scope(tenant.pk):
        return SlaPolicy.objects.create(**{"name": "Answer", "kind": "first_response", "target_minutes": 60, "hours": "always", **fields})


def with_clock(tenant, **fields):
    lead = make_lead(tenant, **fields)
    with tenant_scope(tenant.pk):
        refresh_clocks(lead_ids=[lead.pk], now=lead.created_at)
    return lead


def test_a_policy_is_made_on_its_page_and_shown_again(client, tenant):
    assert client.post("/settings/sla/new", FORM).headers["Location"] == "/settings/sla"
    with tenant_scope(tenant.pk):
        policy = SlaPolicy.objects.get()
    assert policy.target_minutes == 120
    assert policy.conditions is None
    assert policy.steps == [{"minutes": -15, "action": "notify_manager", "user": None}]
    assert 'value="Answer"' in client.get(f"/settings/sla/{policy.pk}").content.decode()
    client.post(f"/settings/sla/{policy.pk}", {**FORM, "name": "Soon"})
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    assert (policy.name, policy.target_minutes, len(policy.steps)) == ("Soon", 120, 1)


def test_conditions_that_the_form_cannot_show_are_kept(client, tenant):
    tree = {"any": [{"field": "score", "op": "at_least", "value": 50}, {"field": "city", "op": "is", "value": "Paris"}]}
    policy = make_policy(tenant, conditions=tree)
    assert "Score is at least 50 or City is Paris" in client.get(f"/settings/sla/{policy.pk}").content.decode()
    client.post(f"/settings/sla/{policy.pk}", FORM)
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    assert policy.conditions == tree


def test_what_is_wrong_is_said_on_the_page(client, tenant):
    make_policy(tenant)
    answer = client.post("/settings/sla/new", FORM)
    assert answer.status_code == 422
    assert "There is a policy of this name already." in answer.content.decode()
    assert client.post("/settings/sla/new", {**FORM, "name": "B", "step0_action": "reassign"}).status_code == 422


def test_a_policy_is_deleted_with_its_clocks(client, tenant):
    policy = make_policy(tenant)
    with_clock(tenant)
    assert client.post(f"/settings/sla/{policy.pk}/delete").status_code == 302
    with tenant_scope(tenant.pk):
        assert not SlaClock.objects.exists()


def test_reps_have_no_settings_of_service_levels(pages, tenant):
    rep = pages(make_user(tenant, role="sales_rep"))
    assert rep.get("/settings/sla").status_code == 403
    assert rep.get("/sla").status_code == 200


def test_the_control_room_shows_what_is_breached(client, tenant, alice):
    make_policy(tenant)
    lead = with_clock(tenant, first_name="Ann", last_name="Late", created_at=AT, status_changed_at=AT, owner=alice)
    text = client.get("/sla?which=breached").content.decode()
    assert f'href="/leads/{lead.pk}"' in text
    assert "over</span>" in text
    assert "Ann Late" not in client.get("/sla?which=soon").content.decode()
    assert client.get("/sla?which=nothing&cursor=rubbish").status_code == 200


def test_an_empty_control_room_says_what_to_do(client):
    assert "No service level yet" in client.get("/sla").content.decode()


@pytest.mark.parametrize("leads", [1, 3])
def test_the_control_room_asks_a_flat_number_of_queries(client, tenant, leads, django_assert_max_num_queries):
    make_policy(tenant)
    for _ in range(leads):
        with_clock(tenant)
    with django_assert_max_num_queries(24):
        client.get("/sla?which=running")


def test_the_lead_shows_its_clock_which_can_be_paused(client, tenant):
    make_policy(tenant)
    lead = with_clock(tenant)
    assert "left</span>" in client.get(f"/leads/{lead.pk}").content.decode()
    assert client.post(f"/leads/{lead.pk}/sla", {"do": "pause"}).headers["Location"] == f"/leads/{lead.pk}"
    assert "Paused" in client.get(f"/leads/{lead.pk}").content.decode()
    client.post(f"/leads/{lead.pk}/sla", {"do": "resume"})
    with tenant_scope(tenant.pk):
        assert SlaClock.objects.get().paused_at is None
    assert 'id="lead-sla"' not in client.get(f"/leads/{make_lead(tenant, status='won').pk}").content.decode()


def test_what_is_said_with_a_move_stands_in_the_stay_it_begins(client, tenant):
    with inside(tenant.pk):
        LeadTransition.objects.filter(source__code="new", target__code="qualified").update(required_fields=["company"], needs_reason=True)
    lead = make_lead(tenant)
    link = f"/leads/{lead.pk}/move"
    asked = client.post(link, {"status": "qualified"})
    assert asked.status_code == 422
    assert 'name="asked" value="company,reason"' in asked.content.decode()
    body = {"status": "qualified", "asked": "company,reason", "company": "Acme", "reason": "They asked", "next_action": "Call"}
    assert client.post(link, {**body, "reason": ""}).status_code == 422
    assert client.post(link, body).headers["Location"] == f"/leads/{lead.pk}"
    with inside(tenant.pk):
        stage = LeadStage.objects.get(lead=lead, exited_at=None)
        lead.refresh_from_db()
    assert (stage.status_id, stage.notes, stage.next_action_required, lead.company) == (lead.status_id, "They asked", "Call", "Acme")


# --- stages ---


def test_stages_are_shown_as_a_picture_and_a_table(pages, admin, tenant):
    make_lead(tenant)
    text = pages(admin).get("/settings/statuses").content.decode()
    assert text.count('class="node node--') == 8
    assert "<title>New → Qualified</title>" in text
    with inside(tenant.pk):
        pair = LeadTransition.objects.values_list("source_id", "target_id").get(source__code="new", target__code="qualified")
    assert f'value="{pair[0]}-{pair[1]}" checked' in text


def test_moves_are_ticked_on_and_off(pages, admin, tenant):
    with inside(tenant.pk):
        codes = dict(LeadStatus.objects.values_list("code", "pk"))
        LeadTransition.objects.filter(source__code="new", target__code="qualified").update(needs_reason=True)
    moves = [f"{codes['new']}-{codes['qualified']}", f"{codes['new']}-{codes['won']}", "x-y", f"{codes['new']}-999999"]
    answer = pages(admin).post("/settings/statuses", {"moves": moves}, follow=True)
    assert "1 move allowed. 16 moves closed." in answer.content.decode()
    with inside(tenant.pk):
        assert set(LeadTransition.objects.values_list("source__code", "target__code", "needs_reason")) == {
            ("new", "qualified", True), ("new", "won", False),
        }  # fmt: skip


def test_a_stage_is_added_changed_and_deleted(pages, admin, tenant):
    client = pages(admin)
    form = {"label": "Trial", "description": "Tries it", "category": "open", "position": "5", "is_active": "on"}
    assert client.post("/settings/statuses/new", form).headers["Location"] == "/settings/statuses"
    assert client.post("/settings/statuses/new", form).status_code == 422
    assert client.post("/settings/statuses/101", {**form, "label": "Pilot"}).status_code == 302
    assert "Pilot" in client.get("/settings/statuses/101").content.decode()
    assert client.post("/settings/statuses/101/delete").status_code == 302
    with inside(tenant.pk):
        assert LeadStatus.objects.count() == 8


def test_what_a_move_asks_for_is_set(pages, admin, tenant):
    with inside(tenant.pk):
        move = LeadTransition.objects.get(source__code="new", target__code="qualified")
    client = pages(admin)
    assert client.get(f"/settings/transitions/{move.pk}").status_code == 200
    assert client.post(f"/settings/transitions/{move.pk}", {"needs_reason": "on", "required_fields": ["company"]}).status_code == 302
    with inside(tenant.pk):
        move.refresh_from_db()
    assert (move.needs_reason, move.required_fields) == (True, ["company"])


def test_today_shows_own_clocks_that_are_due_and_not_yet_answered(client, tenant, alice):
    make_policy(tenant)
    bob = make_user(tenant)
    leads = [
        with_clock(tenant, last_name=name, owner=owner, created_at=AT, status_changed_at=AT)
        for name, owner in (("Mine", alice), ("His", bob), ("Answered", alice), ("Later", alice))
    ]
    with tenant_scope(tenant.pk):
        SlaClock.objects.update(state="due_soon")
        SlaClock.objects.filter(lead=leads[3]).update(state="on_track")
        type(leads[2]).objects.filter(pk=leads[2].pk).update(last_contact_at=AT)

    with time_machine.travel(AT + timedelta(minutes=50), tick=False), acting(alice) as by:
        soon = sla_items(by, timezone.now(), 10)
    with time_machine.travel(AT + timedelta(minutes=70), tick=False), acting(alice) as by:
        late = sla_items(by, timezone.now(), 10)

    assert [(item.lead_id, item.text, item.done_url) for item in soon] == [
        (leads[0].pk, "Answer is due soon", f"/leads/{leads[0].pk}/follow-up")
    ]
    assert [(item.lead_id, item.text) for item in late] == [(leads[0].pk, "Answer breached")]
    assert soon[0].weight == 2 * late[0].weight


def open_stay(tenant, lead) -> LeadStage:
    with inside(tenant.pk):
        return LeadStage.objects.select_related("status").get(lead=lead, exited_at=None)


def test_the_reason_of_a_loss_stands_in_the_stay_too(client, tenant):
    lead = make_lead(tenant)
    client.post(f"/leads/{lead.pk}/move", {"status": "lost", "reason": "no_budget", "asked": "reason"})
    stage = open_stay(tenant, lead)
    assert (stage.status.code, stage.notes) == ("lost", "no_budget")


def test_many_moved_at_once_keep_why_and_that_the_rules_were_passed(client, tenant):
    leads = [make_lead(tenant), make_lead(tenant, status="contacted")]
    form = {
        "ids": [lead.pk for lead in leads],
        "step": "run",
        "status": "negotiation",
        "reason": "They signed a letter",
        "skip_rules": "on",
    }
    client.post("/leads/bulk/edit", form)
    stays = [open_stay(tenant, lead) for lead in leads]
    assert [(stay.status.code, stay.notes, stay.rules_skipped) for stay in stays] == [("negotiation", "They signed a letter", True)] * 2


CONDITIONS = {
    "match": "all", "g0-match": "all", "g0-0-field": "priority", "g0-0-op": "is", "g0-0-chosen": ["high", "critical"],
    "g0-1-field": "tags", "g0-1-op": "has_any", "g0-1-value": "vip, big",
}  # fmt: skip


def test_which_leads_a_policy_is_for_is_put_together_and_kept_by_its_own_form(client, tenant):
    policy = make_policy(tenant)
    url = f"/settings/sla/{policy.pk}/conditions"
    assert 'name="g0-0-field"' in client.get(url).content.decode()
    more = client.post(url, {**CONDITIONS, "do": "add-0"}).content.decode()
    assert 'name="g0-2-field"' in more
    assert client.post(url, {**CONDITIONS, "do": "apply"}).headers["Location"] == f"/settings/sla/{policy.pk}"
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    wanted = [
        {"field": "priority", "op": "is", "value": ["high", "critical"]},
        {"field": "tags", "op": "has_any", "value": ["vip", "big"]},
    ]
    assert policy.conditions == {"all": wanted}
    said = "Priority is High, Critical and Tags has any of vip, big"
    assert said in client.get("/settings/sla").content.decode()
    assert said in client.get(f"/settings/sla/{policy.pk}").content.decode()
    client.post(f"/settings/sla/{policy.pk}", FORM)
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    assert policy.conditions == {"all": wanted}


def test_wrong_conditions_are_told_and_the_policy_keeps_its_own(client, tenant):
    policy = make_policy(tenant, conditions={"field": "priority", "op": "is", "value": ["high"]})
    url = f"/settings/sla/{policy.pk}/conditions"
    wrong = {"match": "all", "g0-match": "all", "g0-0-field": "score", "g0-0-op": "above", "g0-0-value": "much", "do": "apply"}
    assert client.post(url, wrong).status_code == 422
    assert client.post(url, wrong, HTTP_HX_REQUEST="true").status_code == 200
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    assert policy.conditions == {"field": "priority", "op": "is", "value": ["high"]}
    deep = {"all": [{"not": {"field": "priority", "op": "is", "value": ["high"]}}]}
    with tenant_scope(tenant.pk):
        SlaPolicy.objects.update(conditions=deep)
    assert "too deep for this form" in client.get(url).content.decode()
    assert client.post(url, {"do": "apply"}).status_code == 302
    with tenant_scope(tenant.pk):
        policy.refresh_from_db()
    assert policy.conditions is None


def test_only_who_sets_service_levels_opens_their_conditions(tenant, pages):
    policy = make_policy(tenant)
    assert pages(make_user(tenant, role="sales_rep")).get(f"/settings/sla/{policy.pk}/conditions").status_code == 403


def test_a_manager_reads_the_stages_and_an_administrator_changes_them(client, pages, tenant):
    shown = client.get("/settings/statuses").content.decode()
    assert "Administrators change the stages" in shown
    assert ("Save the moves" in shown, "/settings/statuses/1" in shown) == (False, False)
    assert client.post("/settings/statuses", {"moves": []}).status_code == 403
    with inside(tenant.pk):
        assert LeadTransition.objects.exists()
    assert "Save the moves" in pages(make_user(tenant, role="admin")).get("/settings/statuses").content.decode()
    assert pages(make_user(tenant, role="sales_rep")).get("/settings/statuses").status_code == 403
