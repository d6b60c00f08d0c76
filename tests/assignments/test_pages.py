"""The pages of assignment, as managers use them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from assignments.models import AssignmentRule, Capacity, Leave, Pool
from assignments.services.capture import assign_captured
from assignments.services.giving import unassign_lead
from crm.operations.models import Operation
from crm.operations.runner import run
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from tests.assignments.parts import make_pool, make_reps, make_rule, owners_of
from tests.factories import acting, inside, make_lead

PAGES = ("", "/queue", "/rules", "/rules/new", "/pools", "/pools/new", "/fairness", "/simulate")
RULE = {"name": "France", "is_active": "on", "method": "round_robin", "target": "", "heed_shifts": "on", "fallback": "next"}


def text_of(answer) -> str:
    return answer.content.decode()


def placed(tenant, *leads) -> None:
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=[lead.pk for lead in leads])


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_for_managers(alice, bob, pages, page):
    assert pages(alice).get(f"/assignments{page}").status_code == 200
    assert pages(bob).get(f"/assignments{page}").status_code == 403


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("page", ["", "/queue", "/rules", "/pools", "/fairness", "/simulate"])
def test_query_counts_are_flat(tenant, alice, pages, count, page, django_assert_max_num_queries):
    reps = make_reps(tenant, count)
    for number in range(count):
        make_rule(alice, f"Rule {number}", user_id=reps[number].pk, conditions={"field": "city", "op": "is", "value": f"City {number}"})
        placed(tenant, make_lead(tenant, city=f"City {number}"), make_lead(tenant))
    client = pages(alice)
    client.get(f"/assignments{page}")
    with django_assert_max_num_queries(34 + (count if page == "/simulate" else 0)):
        assert client.get(f"/assignments{page}").status_code == 200


def test_workload_shows_loads_limits_and_absence(tenant, alice, bob, pages):
    make_lead(tenant, owner=bob)
    with inside(tenant.pk):
        Capacity.objects.create(user=bob, in_total=1)
        Leave.objects.create(user=bob, first_day=timezone.localdate(), last_day=timezone.localdate())
    answer = pages(alice).get("/assignments")
    row = next(row for row in answer.context["rows"] if row["person"].user == bob)
    assert (row["active"], row["most"], row["tone"], row["today"]) == (1, 1, "danger", 1)
    assert "on leave to" in text_of(answer)


def test_unassigned_leads_are_spread_from_the_page(tenant, alice, bob, pages):
    leads = [make_lead(tenant) for _ in range(2)]
    answer = pages(alice).post("/assignments", {"max_leads_per_user": "1", "reason": "Monday"})
    assert answer.status_code == 302
    assert owners_of(tenant) == {leads[0].pk: bob.pk}
    assert pages(alice).post("/assignments", {"max_leads_per_user": "0"}).status_code == 422


def test_capacity_and_leave_are_entered_and_taken_out(tenant, alice, bob, mallory, pages):
    client, path = pages(alice), f"/assignments/people/{bob.pk}"
    client.post(path, {"takes_leads": "no", "per_day": "5", "in_total": ""})
    today = timezone.localdate()
    client.post(f"{path}/leave", {"first_day": str(today), "last_day": str(today + timedelta(days=2)), "note": "Sea"})
    assert client.post(f"{path}/leave", {"first_day": str(today), "last_day": str(today - timedelta(days=2))}).status_code == 422
    with inside(tenant.pk):
        capacity, leave = Capacity.objects.get(), Leave.objects.get()
        assert (capacity.takes_leads, capacity.per_day, capacity.in_total, leave.note) == (False, 5, None, "Sea")
    assert "Sea" in text_of(client.get(path))
    client.post(f"{path}/leave/{leave.pk}/delete")
    with inside(tenant.pk):
        assert not Leave.objects.exists()
    assert pages(mallory).get(path).status_code == 404


def test_queue_says_why_and_gives(tenant, alice, bob, pages):
    make_rule(alice, "France only", conditions={"field": "country", "op": "is", "value": "France"}, user_id=bob.pk)
    unmatched, unasked, taken = make_lead(tenant, last_name="One"), make_lead(tenant, last_name="Two"), make_lead(tenant, owner=bob)
    placed(tenant, unmatched)
    with acting(alice) as by:
        unassign_lead(lead_id=taken.pk, reason="Left the firm", by=by)
    answer = pages(alice).get("/assignments/queue")
    why = {row["id"]: row["why"] for row in answer.context["rows"]}
    assert why == {
        unmatched.pk: "No rule matches it.",
        unasked.pk: "No rule has been asked.",
        taken.pk: "Taken from Bob Baker by Alice Archer: Left the firm",
    }
    pages(alice).post(f"/assignments/queue/{unmatched.pk}", {"user": str(bob.pk)})
    assert owners_of(tenant)[unmatched.pk] == bob.pk
    pages(alice).post(f"/assignments/queue/{unasked.pk}", {"user": "x"})
    assert unasked.pk not in owners_of(tenant)


def test_queue_puts_leads_of_one_reason_together(tenant, alice, bob, pages):
    make_rule(alice, conditions={"field": "city", "op": "is", "value": "Rome"}, user_id=bob.pk)
    now = timezone.now()
    leads = [make_lead(tenant, created_at=now - timedelta(hours=number)) for number in range(4)]
    placed(tenant, leads[0], leads[2])
    answer = pages(alice).get("/assignments/queue")
    assert [(row["id"], row["heads"]) for row in answer.context["rows"]] == [
        (leads[0].pk, 2),
        (leads[2].pk, 0),
        (leads[1].pk, 2),
        (leads[3].pk, 0),
    ]
    assert text_of(answer).count("No rule matches it.") == 1


def test_queue_goes_on_by_cursor(tenant, alice, pages, monkeypatch):
    monkeypatch.setattr("assignments.pages.queue.PAGE_SIZE", 2)
    leads = [make_lead(tenant, created_at=timezone.now() - timedelta(hours=number)) for number in range(3)]
    client = pages(alice)
    first = client.get("/assignments/queue")
    more = client.get(f"/assignments/queue{first.context['more_url']}", headers={"HX-Request": "true"})
    assert [row["id"] for row in first.context["rows"]] == [leads[0].pk, leads[1].pk]
    assert [row["id"] for row in more.context["rows"]] == [leads[2].pk]


def test_rules_are_made_ordered_switched_and_deleted(tenant, alice, bob, pages):
    client = pages(alice)
    for name in ("First", "Second"):
        assert client.post("/assignments/rules/new", {**RULE, "name": name, "target": f"user:{bob.pk}"}).status_code == 302
    with inside(tenant.pk):
        first, second = AssignmentRule.objects.order_by("position")
    client.post(f"/assignments/rules/{second.pk}/action", {"action": "up"})
    client.post(f"/assignments/rules/{first.pk}/action", {"action": "off"})
    answer = client.get("/assignments/rules")
    assert [(row["rule"].name, row["rule"].is_active, row["target"]) for row in answer.context["rows"]] == [
        ("Second", True, "Bob Baker"),
        ("First", False, "Bob Baker"),
    ]
    assert "Version 4" in text_of(answer)
    client.post(f"/assignments/rules/{first.pk}/action", {"action": "delete"})
    assert client.get(f"/assignments/rules/{first.pk}").status_code == 404


def test_rule_form_says_what_is_wrong_at_its_field(tenant, alice, bob, pages):
    answer = pages(alice).post("/assignments/rules/new", {**RULE, "fallback": "user"})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["fallback_user"])
    answer = pages(alice).post("/assignments/rules/new", {**RULE, "method": "territory", "territories": "US: nobody@x.example"})
    assert list(answer.context["form"].errors) == ["territories"]
    lines = f"US; California; : {bob.email}\nFrance: {bob.email}"
    assert pages(alice).post("/assignments/rules/new", {**RULE, "method": "territory", "territories": lines}).status_code == 302
    with inside(tenant.pk):
        rule = AssignmentRule.objects.get()
        assert rule.territories == [
            {"country": "US", "state": "California", "city": "", "users": [bob.pk]},
            {"country": "France", "state": "", "city": "", "users": [bob.pk]},
        ]
    assert lines.splitlines()[0] in text_of(pages(alice).get(f"/assignments/rules/{rule.pk}"))


def test_conditions_are_put_together_and_said(tenant, alice, pages):
    rule = make_rule(alice)
    path = f"/assignments/rules/{rule.pk}/conditions"
    assert pages(alice).get(path).status_code == 200
    body = {"match": "all", "g0-match": "all", "g0-0-field": "city", "g0-0-op": "is", "g0-0-value": "Paris", "do": "apply"}
    assert pages(alice).post(path, body).status_code == 302
    assert "City is Paris" in text_of(pages(alice).get("/assignments/rules"))
    assert pages(alice).post(path, {**body, "g0-0-field": "score", "g0-0-value": "x"}).status_code == 422
    assert "Paris" in text_of(pages(alice).get(path))
    assert pages(alice).post(path, {"match": "all", "do": "apply"}).status_code == 302
    with inside(tenant.pk):
        assert AssignmentRule.objects.get().conditions is None


def test_pools_are_made_changed_and_kept_while_in_use(tenant, alice, bob, pages):
    client = pages(alice)
    client.post("/assignments/pools/new", {"name": "North", f"weight_{bob.pk}": "3"})
    with inside(tenant.pk):
        pool = Pool.objects.get()
        assert list(pool.memberships.values_list("user_id", "weight")) == [(bob.pk, 3)]
    rule = make_rule(alice, pool_id=pool.pk)
    client.post(f"/assignments/pools/{pool.pk}/delete")
    client.post(f"/assignments/pools/{pool.pk}", {"name": "North", f"weight_{alice.pk}": "1"})
    with inside(tenant.pk):
        assert list(pool.memberships.values_list("user_id", "weight")) == [(alice.pk, 1)]
    client.post(f"/assignments/rules/{rule.pk}/action", {"action": "delete"})
    client.post(f"/assignments/pools/{pool.pk}/delete")
    with inside(tenant.pk):
        assert not Pool.objects.exists()


def test_simulator_says_who_would_have_got_what_and_writes_nothing(tenant, alice, pages):
    first, second = make_reps(tenant, 2)
    make_rule(alice, "Now", user_id=first.pk)
    leads = [make_lead(tenant, created_at=timezone.now() - timedelta(days=number)) for number in (1, 2, 3)]
    old = make_lead(tenant, created_at=timezone.now() - timedelta(days=60))
    placed(tenant, *leads)
    before = owners_of(tenant)
    found = pages(alice).get("/assignments/simulate").context["found"]
    assert (found.leads, found.would, found.has, found.same) == (3, {first.pk: 3}, {first.pk: 3}, 3)
    draft = {**RULE, "name": "Draft", "target": f"user:{second.pk}", "per_day": "1", "heed_shifts": ""}
    with inside(tenant.pk):
        rule = AssignmentRule.objects.get()
    answer = pages(alice).post("/assignments/simulate", {**draft, "rule": str(rule.pk)})
    found = answer.context["found"]
    assert (found.would, found.same, len(found.differences)) == ({second.pk: 3}, 0, 3)
    assert owners_of(tenant) == before
    with inside(tenant.pk):
        assert AssignmentRule.objects.get().name == "Now"
        assert Lead.objects.get(pk=old.pk).owner_id is None
    assert pages(alice).post("/assignments/simulate", {**draft, "name": ""}).status_code == 422


def test_fairness_counts_by_rule_and_day(tenant, alice, pages):
    reps = make_reps(tenant, 2)
    rule = make_rule(alice)
    placed(tenant, *[make_lead(tenant) for _ in range(3)])
    answer = pages(alice).get("/assignments/fairness")
    (entry,) = answer.context["ledger"]
    assert (entry["rule"], entry["total"], entry["spread"]) == (rule, 3, 1)
    assert [(row["id"], row["number"], row["today"], row["off"]) for row in entry["people"]] == [
        (reps[0].pk, 2, 2, 0.5),
        (reps[1].pk, 1, 1, -0.5),
    ]
    assert answer.context["by_day"]["rows"][0]["days"] == [0, 0, 0, 0, 0, 0, 2]


def test_fairness_counts_people_of_the_rule_who_got_nothing(tenant, alice, pages):
    busy, idle, left = make_reps(tenant, 3)
    rule = make_rule(alice, pool_id=make_pool(alice, busy, idle, left).pk, in_total=2)
    with inside(tenant.pk):
        Capacity.objects.create(user=idle, takes_leads=False)
        type(left).objects.filter(pk=left.pk).update(is_active=False)
    placed(tenant, *[make_lead(tenant) for _ in range(2)])
    (entry,) = pages(alice).get("/assignments/fairness").context["ledger"]
    assert (entry["rule"], entry["spread"]) == (rule, 2)
    assert [(row["id"], row["number"], row["off"]) for row in entry["people"]] == [(busy.pk, 2, 1.0), (idle.pk, 0, -1.0)]


def test_leave_of_many_years_is_refused(tenant, alice, bob, pages):
    path = f"/assignments/people/{bob.pk}/leave"
    assert pages(alice).post(path, {"first_day": "0001-01-01", "last_day": "9999-12-31"}).status_code == 422
    assert pages(alice).post(path, {"first_day": "2027-01-01", "last_day": "2028-12-31"}).status_code == 302


def test_bars_without_a_limit_only_compare(tenant, alice, bob, pages):
    make_lead(tenant, owner=bob)
    with inside(tenant.pk):
        Capacity.objects.create(user=alice, in_total=5)
    text = text_of(pages(alice).get("/assignments"))
    assert text.count("assign-relative") == 1
    assert "no limit" in text


def test_lead_page_says_why_this_owner(tenant, alice, bob, pages):
    reps = make_reps(tenant, 1)
    make_rule(alice, "Closed", user_id=bob.pk, in_total=1)
    make_lead(tenant, owner=bob)
    make_rule(alice, "Open", user_id=reps[0].pk)
    lead, nobody = make_lead(tenant), make_lead(tenant)
    placed(tenant, lead)
    text = text_of(pages(alice).get(f"/leads/{lead.pk}"))
    for part in ("Why this owner?", "Open", "nobody of it could take it", "Bob Baker: full", reps[0].full_name):
        assert part in text, part
    assert "Why this owner?" not in text_of(pages(alice).get(f"/leads/{nobody.pk}"))


def test_list_action_places_the_selection_as_an_operation(tenant, alice, bob, pages):
    make_rule(alice, user_id=bob.pk)
    lead = make_lead(tenant)
    assert "Assign by rules" in text_of(pages(alice).get("/leads"))
    answer = pages(alice).post("/assignments/place", {"ids": [str(lead.pk)]})
    with inside(tenant.pk):
        operation = Operation.objects.get()
    assert answer.url.endswith(f"/operations/{operation.pk}")
    run(operation.pk)
    assert owners_of(tenant) == {lead.pk: bob.pk}
    assert pages(alice).get(answer.url).status_code == 200
    assert pages(alice).post("/assignments/place", {}).url == "/leads"
    assert pages(bob).post("/assignments/place", {"ids": [str(lead.pk)]}).status_code == 403


def test_queue_asks_the_rules_again(tenant, alice, bob, pages):
    lead = make_lead(tenant)
    make_rule(alice, user_id=bob.pk)
    answer = pages(alice).post("/assignments/place", {"queue": "1"})
    assert answer.url == "/assignments/queue"
    assert owners_of(tenant) == {lead.pk: bob.pk}


def test_territories_of_another_method_are_neither_shown_nor_in_the_way(tenant, alice, bob, pages):
    wrong = {**RULE, "target": f"user:{bob.pk}", "territories": "US: nobody@x.example"}
    assert pages(alice).post("/assignments/rules/new", wrong).status_code == 302
    with inside(tenant.pk):
        assert AssignmentRule.objects.get().territories == []
    form = text_of(pages(alice).get("/assignments/rules/new"))
    assert ('class="if-territory"' in form, 'class="unless-territory"' in form, 'class="if-user"' in form) == (True, True, True)
