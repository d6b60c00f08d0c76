"""Leads of people who work none any more: they are counted, shown and given away."""

import pytest

from assignments.models import Assignment
from assignments.services.handover import hand_over
from audit.services.undo import undo_operation
from crm.errors import InvalidInput
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import run
from tests.assignments.parts import make_reps, make_rule, owners_of, waiting_in
from tests.factories import acting, inside, make_lead, make_user


@pytest.fixture
def gone(tenant) -> User:
    """Somebody deactivated, with two open leads and one that was won."""
    user = make_user(tenant, role="sales_rep", first_name="Gone")
    for status in ("new", "new", "won"):
        make_lead(tenant, owner=user, status=status)
    with inside(tenant.pk):
        User.objects.filter(pk=user.pk).update(is_active=False)
    return user


def test_figures_with_a_deactivated_person_add_up(tenant, alice, bob, gone, api, pages):
    make_lead(tenant, owner=bob)
    make_lead(tenant)
    data = api(alice).get("/api/assignments/workload-stats").json()["data"]
    last = data["workload_distribution"][-1]
    assert [last[name] for name in ("id", "assigned_leads", "active_leads", "closed_leads", "works_leads")] == [gone.pk, 3, 2, 1, False]
    assert sum(row["assigned_leads"] for row in data["workload_distribution"]) + data["unassigned_leads"] == 5
    assert (data["total_users"], data["average_leads_per_user"]) == (2, 0.5)
    answer = pages(alice).get("/assignments")
    assert answer.context["assigned"] == 4
    text = answer.content.decode()
    assert "No longer active: 3 leads" in text
    assert f"/assignments/people/{gone.pk}/give" in text


def test_their_leads_go_to_one_person(tenant, alice, bob, gone, pages):
    answer = pages(alice).post(f"/assignments/people/{gone.pk}/give", {"to": str(bob.pk)})
    with inside(tenant.pk):
        operation = Operation.objects.get()
    assert answer.url.endswith(f"/operations/{operation.pk}")
    run(operation.pk)
    assert list(owners_of(tenant).values()) == [bob.pk] * 3


def test_their_open_leads_go_by_the_rules_and_come_back(tenant, alice, bob, gone):
    make_rule(alice, "Sticky first", method="sticky")
    make_rule(alice, user_id=bob.pk, in_total=1)
    with acting(alice) as by:
        operation = hand_over(user_id=gone.pk, to=None, by=by)
    run(operation.pk)
    first, second, won = owners_of(tenant)
    assert owners_of(tenant) == {first: bob.pk, second: None, won: gone.pk}
    assert waiting_in(tenant) == [second]
    with inside(tenant.pk):
        operation.refresh_from_db()
        assert (operation.state, operation.updated, operation.skipped) == ("done", 1, 1)
        assert set(Assignment.objects.filter(until=None, lead_id__in=[first, second]).values_list("reason", flat=True)) == {
            f"{gone.full_name} had it before"
        }
    with acting(alice) as by:
        undo = undo_operation(operation=operation, by=by)
    run(undo.pk)
    assert owners_of(tenant) == dict.fromkeys((first, second, won), gone.pk)


def test_what_cannot_be_given_away_is_said(tenant, alice, bob, gone, pages, mallory):
    with acting(alice) as by, pytest.raises(InvalidInput):
        hand_over(user_id=bob.pk, to=alice.pk, by=by)
    path = f"/assignments/people/{gone.pk}/give"
    assert pages(bob).post(path, {"to": str(bob.pk)}).status_code == 403
    assert pages(mallory).post(path, {"to": str(mallory.pk)}).status_code == 404
    pages(alice).post(path, {"to": "x"})
    pages(alice).post(path, {"to": str(gone.pk)})
    assert pages(alice).post(path, {"to": "rules"}).status_code in (302, 409)
    with inside(tenant.pk):
        assert not Operation.objects.exists()


def test_somebody_whose_role_works_no_leads_is_shown_too(tenant, alice, api):
    (rep,) = make_reps(tenant, 1)
    make_lead(tenant, owner=rep)
    with inside(tenant.pk):
        User.objects.filter(pk=rep.pk).update(role=make_user(tenant, role="support").role)
    row = api(alice).get("/api/assignments/workload-stats").json()["data"]["workload_distribution"][-1]
    assert (row["id"], row["is_active"], row["works_leads"], row["assigned_leads"]) == (rep.pk, True, False, 1)
