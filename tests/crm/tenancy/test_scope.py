"""The open tenant: scopes, their nesting, and the database setting they leave behind."""

import threading

import pytest
from django.db import connection, transaction

from crm.actors import Actor, Door
from crm.tenancy.models import Tenant
from crm.tenancy.scope import NoTenantOpen, WrongTenant, act_as, current_scope, current_tenant_id, scope_or_none, tenant_scope
from leads.models import Lead, Tag
from tests.factories import make_lead, make_tenant


def setting(name: str = "crm.tenant_id") -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting(%s, true), '')", [name])
        return cursor.fetchone()[0]


def test_scope_tells_the_tenant_and_gives_back_what_it_found(tenant):
    assert scope_or_none() is None
    with tenant_scope(tenant.pk):
        assert (current_tenant_id(), setting()) == (tenant.pk, str(tenant.pk))
    assert (scope_or_none(), setting()) == (None, "")
    with pytest.raises(NoTenantOpen):
        current_scope()


def test_setting_does_not_outlive_the_transaction(committed_db):
    tenant = make_tenant()
    with tenant_scope(tenant.pk):
        pass
    assert setting() == ""


def test_setting_is_gone_after_an_exception(tenant):
    with pytest.raises(ZeroDivisionError), tenant_scope(tenant.pk):
        raise ZeroDivisionError
    assert (scope_or_none(), setting()) == (None, "")


def test_scope_marked_to_be_undone_leaves_quietly(tenant):
    with tenant_scope(tenant.pk):
        Tag.objects.create(name="gone")
        transaction.set_rollback(True)
    with tenant_scope(tenant.pk):
        assert not Tag.objects.exists()


def test_nested_scope_inherits_and_gives_back(tenant, alice):
    actor = Actor(tenant_id=tenant.pk, label="Alice", door=Door.API, user_id=alice.pk)
    with tenant_scope(tenant.pk, by=actor, request_id="r-1", operation_id=7):
        with tenant_scope(tenant.pk, request_id="r-2") as inner:
            assert (inner.actor, inner.request_id, inner.operation_id) == (actor, "r-2", 7)
            assert '"request": "r-2"' in setting("pghistory.context_metadata")
        assert setting() == str(tenant.pk)
        assert '"request": "r-1"' in setting("pghistory.context_metadata")


def test_nested_scope_undoes_only_its_own_work(tenant):
    with tenant_scope(tenant.pk):
        Tag.objects.create(name="kept")
        with pytest.raises(ZeroDivisionError), tenant_scope(tenant.pk):  # noqa: PT012
            Tag.objects.create(name="undone")
            raise ZeroDivisionError
        assert list(Tag.objects.values_list("name", flat=True)) == ["kept"]
        assert setting() == str(tenant.pk)


def test_another_tenant_cannot_be_opened_inside(tenant, next_door):
    with tenant_scope(tenant.pk):
        with pytest.raises(WrongTenant):
            tenant_scope(next_door.pk).__enter__()
        assert current_tenant_id() == tenant.pk


def test_act_as_names_the_actor_of_what_follows(tenant, alice):
    lead = make_lead(tenant, company="Old")
    with tenant_scope(tenant.pk):
        act_as(Actor(tenant_id=tenant.pk, label="Alice", door=Door.ADMIN, user_id=alice.pk))
        Lead.objects.filter(pk=lead.pk).update(company="New")
        row = lead.history.get()
    assert (row.company, row.pgh_context) == ("Old", {"user": alice.pk, "actor": "Alice", "door": "admin"})


def test_a_queryset_made_early_reads_the_tenant_open_when_it_runs(tenant, next_door):
    leads = Lead.objects.all()
    make_lead(tenant)
    with tenant_scope(tenant.pk):
        assert leads.all().count() == 1
    with tenant_scope(next_door.pk):
        assert leads.all().count() == 0


def test_threads_do_not_share_a_scope(tenant):
    seen = []
    with tenant_scope(tenant.pk):
        thread = threading.Thread(target=lambda: seen.append(scope_or_none()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_tenant_shows_its_display_name():
    assert (str(Tenant(name="acme")), str(Tenant(name="acme", display_name="ACME"))) == ("acme", "ACME")
