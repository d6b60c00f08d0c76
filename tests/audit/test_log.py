"""The audit log: read from what the database's triggers wrote."""

import pytest

from audit.models import AuditEvent
from audit.selectors import LogPosition, history_of, log_before
from audit.services.acts import record_act
from crm.identity.models import Role, Team, User
from crm.identity.services.people import change_user, save_team, update_profile
from crm.tenancy.scope import tenant_scope
from tests.factories import acting, make_team, make_user

pytestmark = pytest.mark.django_db


def test_a_change_tells_who_where_and_what(alice, admin, bob):
    with acting(admin) as by:
        change_user(user=bob, role=Role.objects.get(code="support"), by=by)
        entries, more = log_before()
    assert more is None
    entry = entries[0]
    assert (entry.what, entry.actor, entry.door, entry.user_id, entry.subject, entry.fields) == (
        "changed",
        "Ada Adams",
        "page",
        admin.pk,
        "Bob Baker",
        ("role",),
    )


def test_each_of_two_changes_tells_its_own(bob):
    with acting(bob) as by:
        update_profile(user=bob, data={"first_name": "Robert"}, by=by)
        update_profile(user=bob, data={"phone": "1"}, by=by)
        entries, _ = log_before(model="identity.user")
    assert [entry.fields for entry in entries] == [("phone",), ("first name",)]


def test_a_deleted_record_stays_on_record(alice, tenant):
    team = make_team(tenant, name="North")
    with acting(alice):
        team.delete()
        entries, _ = log_before(model="identity.team")
    assert [(entry.what, entry.record) for entry in entries] == [("deleted", None)]


def test_bulk_changes_of_one_moment_are_paged_without_gap_or_repeat(alice, tenant):
    for number in range(7):
        make_team(tenant, alice, name=f"Team {number}")
    with acting(alice) as by:
        Team.objects.update(description="All at once")
        User.objects.update(phone="1")
        record_act(action="exported", subject="leads", by=by)
        seen, before = [], None
        while True:
            entries, before = log_before(before=LogPosition.read(str(before)) if before else None, most=3)
            seen += [entry.id for entry in entries]
            if before is None:
                break
        whole, _ = log_before(most=100)
    assert len(seen) == len(set(seen)) == 9
    assert seen == [entry.id for entry in whole]


def test_the_log_narrows_by_model_and_person(alice, admin, bob):
    with acting(admin) as by:
        change_user(user=bob, is_active=False, by=by)
    with acting(alice) as by:
        team = save_team(team=None, name="North", by=by)
        save_team(team=team, name="Nord", by=by)
        assert {entry.model for entry in log_before(model="identity.team")[0]} == {"identity.team"}
        assert {entry.user_id for entry in log_before(user_id=admin.pk)[0]} == {admin.pk}
        assert log_before(model="audit.auditevent")[0] == []


def test_next_door_reads_nothing(alice, mallory):
    with acting(alice) as by:
        update_profile(user=alice, data={"phone": "1"}, by=by)
        record_act(action="exported", by=by)
    with acting(mallory):
        assert log_before()[0] == []


def test_history_names_choices_and_related_records(admin, bob):
    with acting(admin) as by:
        change_user(user=bob, role=Role.objects.get(code="support"), by=by)
        update_profile(user=bob, data={"theme": "dark"}, by=by)
        changes = history_of(User.objects.get(pk=bob.pk))
    shown = [[(item.label, item.old, item.new) for item in change.fields] for change in changes]
    assert shown == [[("theme", None, "Dark")], [("role", "Sales Rep", "Support")]]


def test_an_act_vanishes_with_its_transaction(alice):
    def fail_midway() -> None:
        with acting(alice) as by:
            record_act(action="exported", by=by)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    with tenant_scope(alice.tenant_id):
        assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "text", ["", "x", "2026-01-01~M~1", "2026-01-01T00:00:00Z~leads.lead~x", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00Z~" + "9" * 30]
)
def test_a_bad_position_is_none(text):
    assert LogPosition.read(text) is None


def test_the_log_costs_the_same_for_any_number(alice, tenant, django_assert_max_num_queries):
    people = [make_user(tenant) for _ in range(3)]
    with acting(alice) as by:
        for user in people:
            user.phone = "1"
        User.objects.bulk_update(people, ["phone"])
        with django_assert_max_num_queries(25):
            entries, _ = log_before()
    assert len(entries) == 3
    assert by.user_id == entries[0].user_id
