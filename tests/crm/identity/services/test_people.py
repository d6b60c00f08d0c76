"""Users, roles, teams and keys: nobody rises by their own hand."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from crm.errors import Forbidden, InvalidInput, NotFound
from crm.identity.authentication import session_of
from crm.identity.errors import InUse, LastAdmin
from crm.identity.models import ApiKey, Role, RoleGrant, TeamMember, User
from crm.identity.selectors import access_of, capability_groups, capability_label
from crm.identity.services import people
from crm.tenancy.scope import tenant_scope
from tests.factories import acting, make_session, make_team, make_tenant, make_user

pytestmark = pytest.mark.django_db


def role(code: str) -> Role:
    return Role.objects.get(code=code)


def keeper(tenant) -> User:
    """Somebody who may change users and roles, and not much else."""
    user = make_user(tenant, role="support")
    with acting(make_user(tenant, role="admin")) as by:
        made = people.save_role(
            role=None, name="Keeper", capabilities=["identity.change_user", "identity.change_role", "identity.add_user"], by=by
        )
        people.change_user(user=User.objects.get(pk=user.pk), role=made, by=by)
    return User.identities.get(pk=user.pk)


def test_leaving_ends_sessions_at_once(admin, bob):
    session = make_session(bob)
    with acting(admin) as by:
        people.change_user(user=bob, is_active=False, by=by)
    assert session_of(session.pk) is None


def test_a_rep_changes_nobody(alice, bob):
    with acting(bob) as by:
        for data in ({"role": role("admin")}, {"is_active": False}):
            with pytest.raises(Forbidden):
                people.change_user(user=alice, by=by, **data)
        with pytest.raises(Forbidden):
            people.update_profile(user=alice, data={"first_name": "Eve"}, by=by)


def test_nobody_gives_more_than_they_hold(tenant, bob):
    with acting(keeper(tenant)) as by:
        with pytest.raises(Forbidden):
            people.change_user(user=User.objects.get(pk=by.user_id), role=role("admin"), by=by)
        with pytest.raises(Forbidden):
            people.grant_role(user=User.objects.get(pk=by.user_id), role=role("manager"), by=by)
        with pytest.raises(Forbidden):
            people.save_role(role=None, name="Crown", capabilities=["leads.hard_delete_lead"], by=by)


def test_nobody_takes_from_who_holds_more(tenant, admin, alice):
    with acting(keeper(tenant)) as by:
        for target in (admin, alice):
            with pytest.raises(Forbidden):
                people.change_user(user=target, is_active=False, by=by)


def test_the_last_admin_stays(admin):
    with acting(admin) as by:
        for data in ({"is_active": False}, {"role": role("manager")}):
            with pytest.raises(LastAdmin):
                people.change_user(user=User.objects.get(pk=admin.pk), by=by, **data)
    admin.refresh_from_db()
    assert admin.is_active


@pytest.mark.slow
def test_two_admins_cannot_step_down_at_once(committed_db):
    tenant = make_tenant()
    admins = [make_user(tenant, role="admin") for _ in range(2)]
    start, refused = threading.Barrier(2), []

    def step_down(user: User) -> None:
        start.wait()
        try:
            with acting(user) as by:
                people.change_user(user=User.objects.get(pk=user.pk), is_active=False, by=by)
        except LastAdmin:
            refused.append(user)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=step_down, args=[user]) for user in admins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    with tenant_scope(tenant.pk):
        assert User.objects.filter(is_active=True).count() == 1


def test_a_profile_takes_a_real_zone_only(bob):
    with acting(bob) as by:
        people.update_profile(user=bob, data={"time_zone": "Europe/Paris", "theme": "dark"}, by=by)
        with pytest.raises(InvalidInput):
            people.update_profile(user=bob, data={"time_zone": "Mars/Olympus"}, by=by)
    bob.refresh_from_db()
    assert (bob.time_zone, bob.theme) == ("Europe/Paris", "dark")


def test_further_roles_add_up_and_can_be_taken(admin, bob):
    with acting(admin) as by:
        people.grant_role(user=bob, role=role("manager"), by=by)
        people.grant_role(user=bob, role=role("manager"), by=by)
        assert RoleGrant.objects.filter(user=bob).count() == 1
        assert access_of(User.objects.get(pk=bob.pk)).can("leads.assign_lead")
        people.take_role(user=bob, role=role("manager"), by=by)
        with pytest.raises(NotFound):
            people.take_role(user=bob, role=role("manager"), by=by)
        with pytest.raises(InUse):
            people.take_role(user=bob, role=role("sales_rep"), by=by)
        assert not access_of(User.objects.get(pk=bob.pk)).can("leads.assign_lead")


def test_roles_are_guarded(admin, bob):
    with acting(admin) as by:
        with pytest.raises(Forbidden):
            people.save_role(role=role("admin"), name="Admin", capabilities=[], by=by)
        with pytest.raises(InvalidInput):
            people.save_role(role=None, name="Odd", capabilities=["leads.fly"], by=by)
        with pytest.raises(Forbidden):
            people.delete_role(role=role("support"), by=by)
        made = people.save_role(role=None, name="Closer", capabilities=["leads.view_lead"], by=by)
        people.change_user(user=bob, role=made, by=by)
        with pytest.raises(InUse):
            people.delete_role(role=made, by=by)
        people.change_user(user=bob, role=role("sales_rep"), by=by)
        people.delete_role(role=made, by=by)


def test_a_builtin_role_follows_the_product_until_it_is_changed(admin, tenant):
    with acting(admin) as by:
        support = role("support")
        assert support.capabilities is None
        people.save_role(role=support, name="Support", capabilities=["leads.view_lead", "leads.change_lead"], by=by)
        assert role("support").effective_capabilities == {"leads.view_lead", "leads.change_lead"}


def test_teams_keep_their_names_apart_and_set_members_exactly(alice, bob, tenant):
    with acting(alice) as by:
        team = people.save_team(team=None, name="North", members=[alice, bob], by=by)
        people.save_team(team=team, name="North", members=[bob], by=by)
        assert list(TeamMember.objects.filter(team=team).values_list("user_id", flat=True)) == [bob.pk]
        with pytest.raises(people.NameTaken):
            people.save_team(team=None, name="North", by=by)
        people.add_team_member(team=team, user=alice, by=by)
        people.remove_team_member(team=team, user_id=alice.pk, by=by)
        with pytest.raises(NotFound):
            people.remove_team_member(team=team, user_id=alice.pk, by=by)
        people.delete_team(team=team, by=by)
    with acting(bob) as by, pytest.raises(Forbidden):
        people.delete_team(team=make_team(tenant), by=by)


def test_a_key_is_stored_hashed_and_made_for_oneself_only(alice, bob, admin):
    with acting(alice) as by:
        key, secret = people.create_api_key(user=alice, name="Forms", capabilities=["leads.add_lead"], by=by)
        assert secret.startswith("smk_")
        assert secret not in str(ApiKey.objects.filter(pk=key.pk).values().get())
        with pytest.raises(Forbidden):
            people.create_api_key(user=admin, name="Crown", by=by)
        with pytest.raises(InvalidInput):
            people.create_api_key(user=alice, name="Odd", capabilities=["leads.fly"], by=by)
    with acting(bob) as by:
        with pytest.raises(Forbidden):
            people.create_api_key(user=bob, name="Mine", by=by)
        with pytest.raises(Forbidden):
            people.revoke_api_key(key=key, by=by)
    with acting(admin) as by:
        people.revoke_api_key(key=key, by=by)
        key.refresh_from_db()
        assert key.revoked_at is not None
        assert key.revoked_at < timezone.now() + timedelta(seconds=1)


def test_every_permission_has_words():
    for group in capability_groups():
        for name, label in group.items:
            assert label[0].isupper(), name
            assert "_" not in label, name
    assert capability_label("leads.add_lead") == "Add leads"
    assert capability_label("leads.assign_lead") == "Give leads to others"
