"""The settings pages of people and the company."""

import re

import pytest

from crm.identity.authentication import session_of
from crm.identity.models import ApiKey, Invitation, Role, Team, User
from crm.identity.pages.own import device_name
from crm.identity.services.people import save_role
from crm.tenancy.scope import tenant_scope
from tests.factories import PASSWORD, acting, make_session, make_team, make_user

pytestmark = pytest.mark.django_db
NEW = "another-horse-battery"


def role(tenant, code: str) -> Role:
    with tenant_scope(tenant.pk):
        return Role.objects.get(code=code)


def fresh(user: User) -> User:
    with tenant_scope(user.tenant_id):
        return User.objects.select_related("role").get(pk=user.pk)


# --- who sees what ---

PAGES = ["profile", "sessions", "tenant", "users", "invitations", "teams", "teams/new", "roles", "roles/new", "api-keys", "audit"]


@pytest.mark.parametrize("name", PAGES)
def test_an_admin_opens_every_page(pages, admin, name):
    answer = pages(admin).get(f"/settings/{name}")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert page.count("<h1") == 1
    assert not re.search(r"\sstyle=|\son\w+=", page)


@pytest.mark.parametrize("name", PAGES)
def test_a_rep_opens_their_own_pages_only(pages, bob, name):
    assert pages(bob).get(f"/settings/{name}").status_code == (200 if name in ("profile", "sessions") else 403)


def test_the_menu_holds_what_one_may_open(pages, bob, admin):
    assert "/settings/users" not in pages(bob).get("/settings").content.decode()
    assert "/settings/users" in pages(admin).get("/settings").content.decode()


def test_search_answers_with_and_without_a_query(pages, bob):
    for path in ("/search", "/search?q=nobody", "/search?q=%00", "/search?q=" + "x" * 5000):
        assert pages(bob).get(path).status_code == 200


# --- one's own ---


def test_the_profile_is_saved(pages, bob):
    data = {"first_name": "Robert", "last_name": "", "phone": "555-0100", "time_zone": "Asia/Tokyo", "theme": "dark"}
    assert pages(bob).post("/settings/profile", data).status_code == 302
    user = fresh(bob)
    assert (user.first_name, user.last_name, user.time_zone, user.theme) == ("Robert", "", "Asia/Tokyo", "dark")
    assert 'data-theme="dark"' in pages(bob).get("/settings/profile").content.decode()


@pytest.mark.parametrize("change", [{"first_name": ""}, {"first_name": "x" * 51}, {"time_zone": "Mars/Olympus"}, {"theme": "pink"}])
def test_a_bad_profile_answers_422(pages, bob, change):
    data = {"first_name": "Robert", "last_name": "", "phone": "", "time_zone": "", "theme": "", **change}
    assert pages(bob).post("/settings/profile", data).status_code == 422
    assert fresh(bob).first_name == "Bob"


def test_the_password_is_changed_and_this_session_stays(pages, bob):
    client, other = pages(bob), pages(bob)
    refused = client.post("/settings/profile/password", {"current_password": "wrong", "new_password": NEW})
    assert refused.status_code == 422
    assert "not your present password" in refused.content.decode()
    assert client.post("/settings/profile/password", {"current_password": PASSWORD, "new_password": NEW}).status_code == 302
    assert client.get("/settings/profile").status_code == 200
    assert other.get("/settings/profile").status_code == 302


def test_sessions_end_one_by_one_or_all_others(pages, alice, bob):
    client = pages(bob)
    first, second, theirs = make_session(bob), make_session(bob), make_session(alice)
    assert "This one" in client.get("/settings/sessions").content.decode()
    assert client.post(f"/settings/sessions/{first.pk}/end").status_code == 302
    assert client.post(f"/settings/sessions/{theirs.pk}/end").status_code == 404
    assert client.post("/settings/sessions/others/end").status_code == 302
    assert [session_of(item.pk) is not None for item in (first, second, theirs)] == [False, False, True]
    assert client.get("/settings/sessions").status_code == 200


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/130.0", "Firefox on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/17 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/130 Safari/537 Edg/130", "Edge on Linux"),
        ("curl/8.5", "curl"),
        ("", "Unknown program"),
    ],
)
def test_programs_have_names_people_know(agent, name):
    assert device_name(agent) == name


# --- users ---


def test_users_are_listed_narrowed_and_of_ones_tenant(pages, alice, bob, mallory):
    client = pages(alice)
    page = client.get("/settings/users").content.decode()
    assert bob.email in page
    assert mallory.email not in page
    assert bob.email not in client.get("/settings/users?q=archer").content.decode()
    assert "Nobody matches" in client.get("/settings/users?state=inactive").content.decode()
    assert client.get(f"/settings/users?role={bob.role_id}&page=x").status_code == 200


@pytest.mark.parametrize("more", [1, 3])
def test_users_page_costs_the_same_for_any_number(pages, admin, tenant, more, django_assert_max_num_queries):
    for _ in range(more):
        make_user(tenant)
    client = pages(admin)
    with django_assert_max_num_queries(12):
        client.get("/settings/users")


def test_a_manager_sees_users_and_changes_none(pages, alice, bob):
    client = pages(alice)
    assert client.get(f"/settings/users/{bob.pk}").status_code == 403
    assert client.post(f"/settings/users/{bob.pk}/change", {"is_active": "0"}).status_code == 403
    assert fresh(bob).is_active


def test_an_admin_changes_role_and_access(pages, admin, bob, tenant):
    client = pages(admin)
    assert client.post(f"/settings/users/{bob.pk}/change", {"role": role(tenant, "support").pk}).status_code == 302
    assert client.post(f"/settings/users/{bob.pk}/change", {"is_active": "0"}).status_code == 302
    assert (fresh(bob).role.code, fresh(bob).is_active) == ("support", False)
    data = {"first_name": "Bob", "last_name": "Baker", "phone": "", "role": role(tenant, "manager").pk, "is_active": "on"}
    assert client.post(f"/settings/users/{bob.pk}", data).status_code == 302
    assert (fresh(bob).role.code, fresh(bob).is_active) == ("manager", True)
    assert client.post(f"/settings/users/{bob.pk}", {**data, "role": "9" * 30}).status_code == 422


def test_the_last_admin_stays_and_is_told_why(pages, admin):
    answer = pages(admin).post(f"/settings/users/{admin.pk}/change", {"is_active": "0"}, follow=True)
    assert "last admin" in answer.content.decode()
    assert fresh(admin).is_active


@pytest.mark.parametrize("path", ["users/{id}", "users/{id}/change"])
def test_another_tenants_user_is_not_found(pages, admin, mallory, path):
    path = "/settings/" + path.format(id=mallory.pk)
    assert pages(admin).post(path, {"is_active": "0"}).status_code == 404
    assert pages(admin).get("/settings/users/" + "9" * 40).status_code == 404


# --- invitations ---


def test_somebody_is_invited_and_the_invitation_withdrawn(pages, alice, tenant):
    client = pages(alice)
    assert (
        client.post("/settings/invitations", {"email": "new@home.example", "role": role(tenant, "sales_rep").pk, "team": ""}).status_code
        == 302
    )
    page = client.get("/settings/invitations").content.decode()
    assert "data-copy-text=" in page
    assert "/join/" in page
    with tenant_scope(tenant.pk):
        invitation = Invitation.objects.get()
    assert client.post(f"/settings/invitations/{invitation.pk}/withdraw").status_code == 302
    assert "new@home.example" not in client.get("/settings/invitations").content.decode().split("Open invitations")[-1]


def test_a_bad_invitation_answers_422(pages, alice, bob, tenant, next_door):
    client, ours = pages(alice), role(tenant, "support").pk
    for data in (
        {"email": "x", "role": ours},
        {"email": bob.email, "role": ours},
        {"email": "n@home.example", "role": role(next_door, "support").pk},
    ):
        assert client.post("/settings/invitations", data).status_code == 422
    assert client.post("/settings/invitations", {"email": "n@home.example", "role": role(tenant, "admin").pk}).status_code == 403
    with tenant_scope(tenant.pk):
        assert not Invitation.objects.exists()


# --- teams ---


def test_teams_come_change_and_go(pages, alice, bob, mallory, tenant):
    client = pages(alice)
    assert client.post("/settings/teams/new", {"name": "North", "members": [bob.pk], "manager": alice.pk}).status_code == 302
    with tenant_scope(tenant.pk):
        team = Team.objects.get()
    assert client.post("/settings/teams/new", {"name": "North"}).status_code == 422
    assert client.post("/settings/teams/new", {"name": "South", "members": [mallory.pk]}).status_code == 422
    assert "Bob Baker" in client.get(f"/settings/teams/{team.pk}").content.decode()
    assert client.post(f"/settings/teams/{team.pk}", {"name": "Nord"}).status_code == 302
    assert "Nord" in client.get("/settings/teams").content.decode()
    assert client.post(f"/settings/teams/{team.pk}/delete").status_code == 302
    with tenant_scope(tenant.pk):
        assert not Team.objects.exists()


def test_another_tenants_team_is_not_found(pages, alice, next_door):
    team = make_team(next_door)
    assert pages(alice).get(f"/settings/teams/{team.pk}").status_code == 404
    assert pages(alice).post(f"/settings/teams/{team.pk}/delete").status_code == 404


# --- roles ---


def test_roles_come_change_and_go(pages, admin, tenant):
    client = pages(admin)
    assert client.post("/settings/roles/new", {"name": "Closer", "capabilities": ["leads.view_lead"]}).status_code == 302
    with tenant_scope(tenant.pk):
        made = Role.objects.get(name="Closer")
    assert client.post(f"/settings/roles/{made.pk}", {"name": "", "capabilities": []}).status_code == 422
    assert client.post(f"/settings/roles/{made.pk}", {"name": "Closer", "capabilities": ["leads.fly"]}).status_code == 422
    assert (
        client.post(f"/settings/roles/{made.pk}", {"name": "Ender", "capabilities": ["leads.view_lead", "leads.add_lead"]}).status_code
        == 302
    )
    assert "Ender" in client.get("/settings/roles").content.decode()
    assert client.post(f"/settings/roles/{made.pk}/delete").status_code == 302
    assert client.post(f"/settings/roles/{role(tenant, 'admin').pk}", {"name": "Admin", "capabilities": []}).status_code == 403


def test_a_manager_looks_at_roles_and_changes_none(pages, alice, tenant):
    support = role(tenant, "support")
    page = pages(alice).get(f"/settings/roles/{support.pk}").content.decode()
    assert "disabled" in page
    assert pages(alice).post(f"/settings/roles/{support.pk}", {"name": "S", "capabilities": []}).status_code == 403


def test_a_role_of_the_next_tenant_is_not_found(pages, admin, next_door):
    assert pages(admin).get(f"/settings/roles/{role(next_door, 'support').pk}").status_code == 404


# --- API keys ---


def test_a_key_is_shown_once_and_revoked(pages, alice, api):
    client = pages(alice)
    answer = client.post("/settings/api-keys", {"name": "Forms", "lifetime": "30", "capabilities": ["leads.view_lead"]})
    secret = re.findall(r"smk_[\w-]{40,}", answer.content.decode())[0]
    assert answer["Cache-Control"] == "no-store"
    assert secret not in client.get("/settings/api-keys").content.decode()
    assert api(HTTP_AUTHORIZATION=f"Bearer {secret}").get("/api/leads").status_code == 200
    key = ApiKey.identities.get()
    assert key.expires_at is not None
    assert client.post(f"/settings/api-keys/{key.pk}/revoke").status_code == 302
    assert api(HTTP_AUTHORIZATION=f"Bearer {secret}").get("/api/leads").status_code == 401
    assert client.post("/settings/api-keys", {"name": ""}).status_code == 422


def test_anothers_key_is_not_found(pages, alice, mallory, admin):
    pages(mallory).post("/settings/api-keys", {"name": "Theirs", "lifetime": "0"})
    assert pages(admin).post(f"/settings/api-keys/{ApiKey.identities.get().pk}/revoke").status_code == 404


# --- the company ---


def week(**change):
    data = {"display_name": "Home", "region": "GB", "time_zone": "Europe/London", "currency": "GBP"}
    for day in range(5):
        data |= {f"open_{day}": "on", f"from_{day}": "08:00", f"to_{day}": "16:30"}
    return {**data, **change}


def test_the_company_is_saved(pages, admin, tenant):
    assert pages(admin).post("/settings/tenant", week(open_form="on")).status_code == 302
    tenant.refresh_from_db()
    assert (tenant.display_name, tenant.region, tenant.currency, tenant.open_form) == ("Home", "GB", "GBP", True)
    assert tenant.working_hours == {str(day): ["08:00", "16:30"] for day in range(5)}


@pytest.mark.parametrize(
    "change",
    [
        {"region": "ZZ"},
        {"time_zone": "Mars/Olympus"},
        {"currency": "XXQ"},
        {"display_name": ""},
        {"to_0": "07:00"},
        {"from_1": ""},
        {"to_2": "late"},
    ],
)
def test_a_bad_company_answers_422(pages, admin, tenant, change):
    assert pages(admin).post("/settings/tenant", week(**change)).status_code == 422
    tenant.refresh_from_db()
    assert tenant.region == "US"


def test_a_manager_reads_the_company_and_changes_nothing(pages, alice, tenant):
    assert "disabled" in pages(alice).get("/settings/tenant").content.decode()
    assert pages(alice).post("/settings/tenant", week()).status_code == 403


def test_a_made_role_opens_what_it_holds(pages, admin, bob):
    with acting(admin) as by:
        made = save_role(role=None, name="Auditor", capabilities=["audit.view_auditevent"], by=by)
    pages(admin).post(f"/settings/users/{bob.pk}/change", {"role": made.pk})
    assert pages(bob).get("/settings/audit").status_code == 200
    assert pages(bob).get("/settings/users").status_code == 403
