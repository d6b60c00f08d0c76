"""The API of users, teams, roles, keys and the tenant."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm.identity.models import ApiKey, Invitation, Role, Team, User
from crm.tenancy.scope import tenant_scope
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db


def role_id(tenant, code: str) -> int:
    with tenant_scope(tenant.pk):
        return Role.objects.get(code=code).pk


# --- users ---


def test_users_list_their_tenant_only_and_narrow(api, alice, bob, mallory):
    client = api(alice)
    body = client.get("/api/users").json()
    assert [row["id"] for row in body["data"]] == [alice.pk, bob.pk]
    assert body["meta"]["pagination"]["total"] == 2
    assert [row["id"] for row in client.get("/api/users?search=BAKER").json()["data"]] == [bob.pk]
    assert [row["id"] for row in client.get("/api/users?role=manager").json()["data"]] == [alice.pk]
    assert client.get("/api/users?is_active=false").json()["data"] == []
    first = client.get("/api/users?limit=1").json()
    assert first["meta"]["pagination"] == {"page": 1, "limit": 1, "total": 2, "hasNext": True, "hasPrev": False}


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "limit=201", "limit=-1", "is_active=maybe", "search=%00", "page=99999999999999999999"]
)
def test_users_refuse_a_bad_query(api, alice, query):
    assert api(alice).get(f"/api/users?{query}").status_code == 400


@pytest.mark.parametrize("more", [1, 3])
def test_users_list_costs_the_same_for_any_number(api, alice, tenant, more, django_assert_num_queries):
    for _ in range(more):
        make_user(tenant)
    client = api(alice)
    client.get("/api/users")
    with django_assert_num_queries(8):
        client.get("/api/users")


def test_a_rep_sees_themselves_and_may_not_list(api, alice, bob):
    client = api(bob)
    assert client.get("/api/users").status_code == 403
    assert client.get(f"/api/users/{alice.pk}").status_code == 403
    assert client.get(f"/api/users/{bob.pk}").json()["data"]["email"] == bob.email
    assert client.put(f"/api/users/{bob.pk}", {"firstName": "Robert"}).json()["data"]["first_name"] == "Robert"
    assert client.put(f"/api/users/{bob.pk}", {"role": "admin"}).status_code == 403
    assert client.put(f"/api/users/{bob.pk}", {"is_active": False}).status_code == 403


def test_another_tenants_user_is_not_found(api, admin, mallory):
    client = api(admin)
    for method, path in [
        ("get", ""),
        ("put", ""),
        ("delete", ""),
        ("post", "/activate"),
        ("post", "/deactivate"),
        ("get", "/roles"),
        ("get", "/permissions"),
        ("get", "/profile"),
        ("get", "/preferences"),
    ]:
        assert getattr(client, method)(f"/api/users/{mallory.pk}{path}").status_code == 404, path


def test_adding_a_user_invites_them(api, alice, tenant):
    team = make_team(tenant)
    answer = api(alice).post("/api/users", {"email": "new@home.example", "role": "Sales Rep", "teamId": team.pk})
    assert answer.status_code == 201
    assert "/join/" in answer.json()["data"]["join_url"]
    with tenant_scope(tenant.pk):
        invitation = Invitation.objects.get()
    assert (invitation.email, invitation.invited_by_id, invitation.team_id) == ("new@home.example", alice.pk, team.pk)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "x", "role": "manager"}, 400),
        ({"email": "n@home.example", "role": "king"}, 400),
        ({"email": "n@home.example", "role": True}, 400),
        ({"email": "n@home.example", "role": "admin"}, 403),
    ],
)
def test_inviting_is_refused(api, alice, body, status):
    assert api(alice).post("/api/users", body).status_code == status


def test_inviting_into_another_tenants_role_or_team_is_refused(api, alice, next_door):
    foreign_role, foreign_team = role_id(next_door, "support"), make_team(next_door)
    assert api(alice).post("/api/users", {"email": "n@home.example", "role": foreign_role}).status_code == 400
    assert api(alice).post("/api/users", {"email": "n@home.example", "role": "support", "team_id": foreign_team.pk}).status_code == 400


def test_an_admin_changes_role_and_access_in_one_go(api, admin, bob, tenant):
    client = api(admin)
    data = client.put(f"/api/users/{bob.pk}", {"role": role_id(tenant, "support"), "isActive": False, "phone": "555-0101"}).json()["data"]
    assert (data["role"], data["is_active"], data["phone"]) == ("support", False, "555-0101")
    assert client.post(f"/api/users/{bob.pk}/activate").json()["data"]["is_active"] is True
    assert client.post(f"/api/users/{bob.pk}/deactivate").json()["data"]["is_active"] is False
    assert client.delete(f"/api/users/{bob.pk}").status_code == 200
    answer = client.put(f"/api/users/{bob.pk}", {"role": "manager", "time_zone": "Mars/Olympus"})
    assert answer.status_code == 400
    assert client.get(f"/api/users/{bob.pk}").json()["data"]["role"] == "support"


def test_the_last_admin_stays(api, admin):
    answer = api(admin).delete(f"/api/users/{admin.pk}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "LAST_ADMIN")


def test_further_roles(api, admin, bob, tenant):
    client, manager = api(admin), role_id(tenant, "manager")
    assert client.post(f"/api/users/{bob.pk}/roles", {"roleId": manager}).status_code == 201
    assert [row["code"] for row in client.get(f"/api/users/{bob.pk}/roles").json()["data"]] == ["sales_rep", "manager"]
    assert "leads.assign_lead" in client.get(f"/api/users/{bob.pk}/permissions").json()["data"]["permissions"]
    assert client.delete(f"/api/users/{bob.pk}/roles/{manager}").status_code == 200
    assert client.delete(f"/api/users/{bob.pk}/roles/{manager}").status_code == 404
    assert api(bob).post(f"/api/users/{bob.pk}/roles", {"role": "admin"}).status_code == 403


def test_profile_and_preferences(api, bob):
    client = api(bob)
    assert client.put(f"/api/users/{bob.pk}/profile", {"last_name": "Brown"}).json()["data"]["last_name"] == "Brown"
    assert client.get(f"/api/users/{bob.pk}/profile").json()["data"]["last_name"] == "Brown"
    assert client.put(f"/api/users/{bob.pk}/preferences", {"timeZone": "Asia/Tokyo", "theme": "dark"}).json()["data"] == {
        "time_zone": "Asia/Tokyo",
        "theme": "dark",
    }
    assert client.get(f"/api/users/{bob.pk}/preferences").json()["data"]["theme"] == "dark"
    assert client.put(f"/api/users/{bob.pk}/preferences", {"theme": "pink"}).status_code == 400


# --- teams ---


def test_teams_come_change_and_go(api, alice, bob, tenant):
    client = api(alice)
    made = client.post("/api/users/teams", {"name": "North", "managerId": alice.pk, "memberIds": [bob.pk]})
    assert made.status_code == 201
    team = made.json()["data"]
    assert [member["id"] for member in team["members"]] == [bob.pk]
    path = f"/api/users/teams/{team['id']}"
    assert client.get(path).json()["data"]["manager_id"] == alice.pk
    assert client.put(path, {"description": "Up there"}).json()["data"]["members"] == team["members"]
    assert client.put(path, {"manager_id": None}).json()["data"]["manager_id"] is None
    assert len(client.post(f"{path}/members", {"user_id": alice.pk}).json()["data"]["members"]) == 2
    assert client.delete(f"{path}/members/{alice.pk}").status_code == 200
    assert client.delete(f"{path}/members/{alice.pk}").status_code == 404
    assert client.post("/api/users/teams", {"name": "North"}).status_code == 409
    assert [row["name"] for row in client.get("/api/users/teams").json()["data"]] == ["North"]
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404


def test_a_team_takes_its_tenants_people_only(api, alice, mallory, next_door):
    client, foreign = api(alice), make_team(next_door)
    assert client.post("/api/users/teams", {"name": "North", "member_ids": [mallory.pk]}).status_code == 400
    assert client.post("/api/users/teams", {"name": "North", "manager_id": mallory.pk}).status_code == 400
    for method in ("get", "put", "delete"):
        assert getattr(client, method)(f"/api/users/teams/{foreign.pk}").status_code == 404
    assert client.post(f"/api/users/teams/{foreign.pk}/members", {"user_id": alice.pk}).status_code == 404
    with tenant_scope(alice.tenant_id):
        assert not Team.objects.exists()


def test_a_rep_makes_no_team(api, bob):
    assert api(bob).post("/api/users/teams", {"name": "North"}).status_code == 403
    assert api(bob).get("/api/users/teams").status_code == 403


@pytest.mark.parametrize("number", [1, 3])
def test_teams_list_costs_the_same_for_any_number(api, alice, bob, tenant, number, django_assert_num_queries):
    for _ in range(number):
        make_team(tenant, alice, bob)
    client = api(alice)
    client.get("/api/users/teams")
    with django_assert_num_queries(9):
        client.get("/api/users/teams")


# --- roles ---


def test_roles_come_change_and_go(api, admin):
    client = api(admin)
    assert [row["code"] for row in client.get("/api/roles").json()["data"]] == ["admin", "manager", "sales_rep", "support"]
    made = client.post("/api/roles", {"name": "Closer", "permissions": ["leads.view_lead"]})
    assert made.status_code == 201
    path = f"/api/roles/{made.json()['data']['id']}"
    assert client.put(path, {"permissions": ["leads.view_lead", "leads.change_lead"]}).json()["data"]["permissions"] == [
        "leads.change_lead",
        "leads.view_lead",
    ]
    assert client.get(path).json()["data"]["name"] == "Closer"
    assert client.put(path, {"permissions": ["leads.fly"]}).status_code == 400
    assert client.delete(path).status_code == 200
    groups = client.get("/api/roles/permissions").json()["data"]
    assert {"name": "leads.add_lead", "label": "Add leads"} in next(group["permissions"] for group in groups if group["group"] == "Leads")


def test_a_manager_reads_roles_and_changes_none(api, alice, tenant, next_door):
    client = api(alice)
    assert client.get("/api/roles").status_code == 200
    assert client.post("/api/roles", {"name": "Crown", "permissions": []}).status_code == 403
    assert client.put(f"/api/roles/{role_id(tenant, 'manager')}", {"name": "Me"}).status_code == 403
    assert client.get(f"/api/roles/{role_id(next_door, 'manager')}").status_code == 404


def test_builtin_and_held_roles_stay(api, admin, bob, tenant):
    client = api(admin)
    assert client.delete(f"/api/roles/{role_id(tenant, 'support')}").status_code == 403
    assert client.put(f"/api/roles/{role_id(tenant, 'admin')}", {"permissions": []}).status_code == 403


# --- API keys ---


def test_a_key_is_shown_once_opens_within_its_permissions_and_is_revoked(api, alice):
    client = api(alice)
    made = client.post("/api/api-keys", {"name": "Forms", "permissions": ["leads.view_lead"]})
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    key = made.json()["data"]
    assert "secret" not in client.get("/api/api-keys").json()["data"][0]
    assert "secret" not in client.get(f"/api/api-keys/{key['id']}").json()["data"]
    program = api(HTTP_AUTHORIZATION=f"Bearer {key['secret']}")
    assert program.get("/api/leads").status_code == 200
    assert program.get("/api/users").status_code == 403
    assert ApiKey.identities.get().last_used_at is not None
    assert client.delete(f"/api/api-keys/{key['id']}").status_code == 200
    assert program.get("/api/leads").status_code == 401


def test_a_key_cannot_make_keys(api, alice):
    secret = api(alice).post("/api/api-keys", {"name": "Small", "permissions": ["identity.add_apikey"]}).json()["data"]["secret"]
    assert api(HTTP_AUTHORIZATION=f"Bearer {secret}").post("/api/api-keys", {"name": "Big"}).status_code == 403


def test_an_expired_key_opens_nothing(api, alice):
    secret = (
        api(alice)
        .post("/api/api-keys", {"name": "Old", "expiresAt": (timezone.now() - timedelta(days=1)).isoformat()})
        .json()["data"]["secret"]
    )
    assert api(HTTP_AUTHORIZATION=f"Bearer {secret}").get("/api/leads").status_code == 401


def test_keys_of_others_are_seen_by_who_may_revoke_them(api, alice, admin, bob, mallory):
    key = api(alice).post("/api/api-keys", {"name": "Forms"}).json()["data"]
    assert api(bob).get("/api/api-keys").json()["data"] == []
    assert api(bob).post("/api/api-keys", {"name": "Mine"}).status_code == 403
    assert api(bob).delete(f"/api/api-keys/{key['id']}").status_code == 404
    assert api(mallory).delete(f"/api/api-keys/{key['id']}").status_code == 404
    assert api(admin).delete(f"/api/api-keys/{key['id']}").status_code == 200


# --- the tenant ---


def test_a_manager_reads_the_tenant_and_an_admin_changes_it(api, alice, admin, bob, tenant):
    path = f"/api/tenants/{tenant.pk}"
    assert api(alice).get(path).json()["data"]["name"] == "home"
    assert api(alice).put(f"{path}/config", {"currency": "EUR"}).status_code == 403
    assert api(bob).get(path).status_code == 403
    changed = api(admin).put(f"{path}/config", {"timeZone": "Europe/Paris", "workingHours": {"0": ["08:00", "16:00"]}, "openForm": True})
    assert changed.status_code == 200
    data = api(alice).get(f"{path}/config").json()["data"]
    assert (data["time_zone"], data["working_hours"], data["open_form"]) == ("Europe/Paris", {"0": ["08:00", "16:00"]}, True)
    assert api(admin).put(path, {"display_name": "Home Ltd"}).json()["data"]["display_name"] == "Home Ltd"
    assert [row["id"] for row in api(alice).get("/api/tenants").json()["data"]] == [tenant.pk]


@pytest.mark.parametrize(
    "body",
    [
        {"region": "ZZ"},
        {"region": "usa"},
        {"time_zone": "Mars/Olympus"},
        {"currency": "XXQ"},
        {"working_hours": {"7": ["08:00", "16:00"]}},
        {"working_hours": {"0": ["16:00", "08:00"]}},
        {"working_hours": {"0": ["8", "9"]}},
        {"working_hours": {"0": "always"}},
        {"working_hours": []},
        {"open_form": "perhaps"},
    ],
)
def test_the_tenant_refuses_nonsense(api, admin, tenant, body):
    assert api(admin).put(f"/api/tenants/{tenant.pk}/config", body).status_code == 400
    tenant.refresh_from_db()
    assert (tenant.region, tenant.time_zone, tenant.currency) == ("US", "UTC", "USD")


@pytest.mark.parametrize("path", ["", "/config"])
def test_another_tenant_is_not_found(api, admin, next_door, path):
    assert api(admin).get(f"/api/tenants/{next_door.pk}{path}").status_code == 404
    assert api(admin).put(f"/api/tenants/{next_door.pk}{path}", {"currency": "EUR"}).status_code == 404


def test_platform_staff_may_name_any_tenant(api, admin, next_door, mallory):
    with tenant_scope(admin.tenant_id):
        User.objects.filter(pk=admin.pk).update(is_platform_staff=True)
    admin.refresh_from_db()
    client = api(admin)
    assert client.get(f"/api/tenants/{next_door.pk}", HTTP_X_TENANT_ID=str(next_door.pk)).status_code == 200
    assert client.get("/api/users", HTTP_X_TENANT_ID=str(next_door.pk)).json()["data"][0]["id"] == mallory.pk
    assert client.get("/api/users", HTTP_X_TENANT_ID="999999").status_code == 404
    assert client.post("/api/api-keys", {"name": "Odd"}, HTTP_X_TENANT_ID=str(next_door.pk)).status_code == 403
