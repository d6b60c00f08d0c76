"""The admin: the third door of the same walls."""

import csv
import io

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from crm.admin import COUNTED, CappedPaginator, TenantModelAdmin
from crm.identity.authentication import session_of
from crm.identity.models import ApiKey, AuthSession, Role, Team, User
from crm.identity.services.people import create_api_key
from crm.operations.models import Operation
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from tests.factories import acting, make_session, make_team, make_user

pytestmark = pytest.mark.django_db


def names() -> list[str]:
    return [f"{model._meta.app_label}_{model._meta.model_name}" for model in django_admin.site._registry]


@pytest.fixture
def rows(admin, bob, tenant):
    """Something in every table that the identity admin shows."""
    make_team(tenant, bob, name="North")
    make_session(bob)
    with acting(admin) as by:
        create_api_key(user=admin, name="Forms", by=by)
        Operation.objects.create(kind="tests.count", title="Count", created_by=bob)


# --- getting in ---


def test_a_visitor_is_sent_to_the_sign_in_page_and_back(pages):
    answer = pages().get("/admin/identity/user/", follow=True)
    assert answer.redirect_chain[-1][0] == "/sign-in?next=%2Fadmin%2Fidentity%2Fuser%2F"
    assert pages().post("/admin/login/", {"username": "x", "password": "y"})["Location"].startswith("/sign-in")


def test_a_rep_stays_out(pages, bob):
    assert pages(bob).get("/admin/", follow=True).status_code == 403


def test_signing_out_of_the_admin_ends_the_session(pages, alice):
    client = pages(alice)
    assert client.post("/admin/logout/")["Location"] == "/sign-in"
    assert AuthSession.objects.get().end_reason == "signed_out"
    assert client.get("/admin/").status_code == 302
    assert pages(alice).get("/admin/password_change/")["Location"] == "/settings/profile"


def test_the_frameworks_groups_are_left_out():
    assert not any(name.startswith("auth_") for name in names())


# --- every list and record ---


@pytest.mark.parametrize("name", names())
def test_every_list_opens_searches_and_exports(pages, admin, rows, name):
    client = pages(admin)
    path = reverse(f"admin:{name}_changelist")
    answer = client.get(path)
    assert answer.status_code == 200
    assert client.get(path, {"q": "x"}).status_code in (200, 302)
    assert client.get(reverse(f"admin:{name}_export")).status_code == 200


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(("identity", "tenancy", "operations", "audit"))])
def test_every_record_opens_and_has_a_history(pages, admin, rows, name):
    client = pages(admin)
    model_admin = next(
        item for model, item in django_admin.site._registry.items() if f"{model._meta.app_label}_{model._meta.model_name}" == name
    )
    with tenant_scope(admin.tenant_id):
        record = model_admin.model._default_manager.first()
    if record is None:
        return
    for view in ("change", "history"):
        assert client.get(reverse(f"admin:{name}_{view}", args=[record.pk])).status_code == 200, view


def test_every_model_admin_is_ours():
    assert all(isinstance(item, TenantModelAdmin) for item in django_admin.site._registry.values())


def test_nothing_is_ever_deleted_here(pages, admin, rows, tenant):
    with tenant_scope(tenant.pk):
        team = Team.objects.get()
    assert pages(admin).get(reverse("admin:identity_team_delete", args=[team.pk])).status_code == 403
    assert "delete_selected" not in pages(admin).get("/admin/identity/team/").content.decode()


# --- walls ---


def test_next_door_is_neither_listed_nor_opened(pages, admin, rows, mallory, next_door):
    client = pages(mallory)
    page = client.get("/admin/identity/user/").content.decode()
    assert mallory.email in page
    assert admin.email not in page
    assert "home" not in client.get("/admin/tenancy/tenant/").content.decode().replace("Home", "")
    assert (
        admin.email
        not in client.get("/admin/identity/authsession/").content.decode() + client.get("/admin/identity/apikey/").content.decode()
    )
    with tenant_scope(admin.tenant_id):
        team = Team.objects.get()
    for name, pk in (
        ("identity_user", admin.pk),
        ("identity_team", team.pk),
        ("tenancy_tenant", admin.tenant_id),
        ("identity_authsession", AuthSession.objects.filter(user__tenant=admin.tenant_id)[0].pk),
    ):
        for view in ("change", "history"):
            answer = client.get(reverse(f"admin:{name}_{view}", args=[pk]))
            assert (answer.status_code, answer["Location"]) == (302, "/admin/"), name


def test_a_foreign_key_offers_and_takes_ones_own_rows_only(pages, admin, mallory, tenant):
    client = pages(admin)
    found = client.get("/admin/autocomplete/", {"app_label": "identity", "model_name": "team", "field_name": "manager", "term": ""}).json()
    assert [row["id"] for row in found["results"]] == [str(admin.pk)]
    answer = client.post("/admin/identity/team/add/", {"name": "North", "description": "", "manager": mallory.pk})
    assert answer.status_code == 200
    with tenant_scope(tenant.pk):
        assert not Team.objects.exists()


def test_a_manager_reads_people_and_changes_none(pages, alice, bob):
    client = pages(alice)
    path = reverse("admin:identity_user_change", args=[bob.pk])
    assert client.get(path).status_code == 200
    assert client.post(path, {"first_name": "Robert"}).status_code == 403
    assert client.post("/admin/identity/user/", {"action": "deactivate", "_selected_action": [bob.pk]}).status_code in (200, 302)
    bob.refresh_from_db()
    assert (bob.first_name, bob.is_active) == ("Bob", True)


# --- writing through services ---


def person(**change):
    return {"first_name": "Bob", "last_name": "Baker", "phone": "", "time_zone": "", "theme": "", "is_active": "on", **change}


def test_a_user_is_changed_through_the_service(pages, admin, bob, tenant):
    session = make_session(bob)
    with tenant_scope(tenant.pk):
        support = Role.objects.get(code="support")
    path = reverse("admin:identity_user_change", args=[bob.pk])
    data = person(role=support.pk, first_name="Robert")
    del data["is_active"]
    assert pages(admin).post(path, data).status_code == 302
    with tenant_scope(tenant.pk):
        user = User.objects.select_related("role").get(pk=bob.pk)
    assert (user.first_name, user.role.code, user.is_active) == ("Robert", "support", False)
    assert session_of(session.pk) is None
    assert not LogEntry.objects.exists()
    history = pages(admin).get(reverse("admin:identity_user_history", args=[bob.pk])).content.decode()
    assert "Ada Adams" in history
    assert "Sales Rep → Support" in history
    assert "admin" in history


def test_a_services_refusal_is_said_and_nothing_is_written(pages, admin, tenant):
    path = reverse("admin:identity_user_change", args=[admin.pk])
    data = person(first_name="Eve", role=admin.role_id)
    del data["is_active"]
    answer = pages(admin).post(path, data, follow=True)
    assert "last admin" in answer.content.decode()
    admin.refresh_from_db()
    assert (admin.first_name, admin.is_active) == ("Ada", True)


def test_actions_call_services_for_all_or_none(pages, admin, alice, bob, tenant):
    client = pages(admin)
    answer = client.post("/admin/identity/user/", {"action": "deactivate", "_selected_action": [bob.pk, admin.pk]}, follow=True)
    assert "last admin" in answer.content.decode()
    bob.refresh_from_db()
    assert bob.is_active
    client.post("/admin/identity/user/", {"action": "deactivate", "_selected_action": [bob.pk, alice.pk]})
    with tenant_scope(tenant.pk):
        assert set(User.objects.filter(is_active=True)) == {admin}


def test_roles_teams_keys_sessions_and_the_tenant(pages, admin, bob, rows, tenant):
    client = pages(admin)
    assert (
        client.post("/admin/identity/role/add/", {"name": "Closer", "description": "", "capabilities": ["leads.view_lead"]}).status_code
        == 302
    )
    assert client.post("/admin/identity/team/add/", {"name": "South", "description": "", "manager": bob.pk}).status_code == 302
    with tenant_scope(tenant.pk):
        assert Role.objects.get(name="Closer").capabilities == ["leads.view_lead"]
        assert Team.objects.get(name="South").manager_id == bob.pk
        north = Team.objects.get(name="North")
    taken = client.post(f"/admin/identity/team/{north.pk}/change/", {"name": "South", "description": "", "manager": ""}, follow=True)
    assert "already exists" in taken.content.decode()
    key = ApiKey.identities.get()
    client.post("/admin/identity/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is not None
    session = AuthSession.objects.filter(user=bob).first()
    client.post("/admin/identity/authsession/", {"action": "end", "_selected_action": [session.pk]})
    assert session_of(session.pk) is None
    data = {
        "display_name": "Home",
        "region": "GB",
        "time_zone": "Europe/London",
        "currency": "GBP",
        "working_hours": '{"0": ["09:00", "17:00"]}',
    }
    assert client.post(f"/admin/tenancy/tenant/{tenant.pk}/change/", data).status_code == 302
    assert client.post(f"/admin/tenancy/tenant/{tenant.pk}/change/", {**data, "region": "ZZ"}, follow=True).status_code == 200
    tenant.refresh_from_db()
    assert (tenant.region, tenant.currency) == ("GB", "GBP")


def test_operations_are_stopped(pages, admin, rows, tenant):
    with tenant_scope(tenant.pk):
        operation = Operation.objects.get()
    pages(admin).post("/admin/operations/operation/", {"action": "stop", "_selected_action": [operation.pk]})
    with tenant_scope(tenant.pk):
        assert Operation.objects.get().state == "cancelled"


def test_platform_staff_see_all_tenants_and_change_their_own_only(pages, admin, tenant, next_door):
    with tenant_scope(tenant.pk):
        User.objects.filter(pk=admin.pk).update(is_platform_staff=True)
    client = pages(admin)
    assert "next-door" in client.get("/admin/tenancy/tenant/").content.decode()
    assert client.get(f"/admin/tenancy/tenant/{next_door.pk}/change/").status_code == 200
    assert client.post(f"/admin/tenancy/tenant/{next_door.pk}/change/", {"region": "GB"}).status_code == 403
    assert Tenant.objects.get(pk=next_door.pk).region == "US"


# --- export ---


def test_an_export_holds_the_filtered_rows_safely_and_no_secret(pages, admin, bob, mallory, tenant):
    make_user(tenant, first_name="=HYPERLINK(1)", is_active=False)
    answer = pages(admin).post("/admin/identity/user/export/?is_active__exact=0", {"format": "0", "resource": "0"})
    assert answer["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["first_name"] for row in rows] == ["'=HYPERLINK(1)"]
    assert "password" not in rows[0]


@pytest.mark.parametrize("name", ["identity_apikey", "identity_user", "identity_authsession"])
def test_no_export_names_a_secret(name, rf, admin):
    model_admin = next(
        item for model, item in django_admin.site._registry.items() if f"{model._meta.app_label}_{model._meta.model_name}" == name
    )
    request = rf.get("/")
    request.user = admin
    columns = model_admin.get_export_resource_classes(request)[0]().get_export_order()
    assert not {"password", "secret_hash", "refresh_hash"} & set(columns)


def test_lists_count_no_further_than_they_say(alice):
    class Rows(CappedPaginator):
        pass

    with tenant_scope(alice.tenant_id):
        assert Rows(User.objects.all(), 50).count == 1
        assert f"LIMIT {COUNTED + 1}" in str(User.objects.order_by()[: COUNTED + 1].query)
    assert Rows([1, 2], 50).count == 2


@pytest.mark.parametrize("more", [1, 3])
def test_lists_cost_the_same_for_any_number(pages, admin, tenant, more, django_assert_num_queries):
    for _ in range(more):
        make_user(tenant)
    client = pages(admin)
    client.get("/admin/identity/user/")
    with django_assert_num_queries(14):
        client.get("/admin/identity/user/")
