"""The API's sign-up, sign-in, tokens and passwords."""

import re

import pytest
from django.core import mail

from crm.events.services import deliver_outbox
from crm.identity.models import AuthSession, Registration, User
from crm.identity.services.passwords import reset_token
from crm.identity.services.people import create_api_key
from crm.tenancy.scope import tenant_scope
from tests.factories import PASSWORD, acting, make_session

pytestmark = pytest.mark.django_db
NEWCOMER = {
    "username": "nina",
    "email": "nina@new.example",
    "password": PASSWORD,
    "first_name": "Nina",
    "last_name": "Novak",
    "phone": "+12025550100",
}
NEW = "another-horse-battery"
REGISTERED = "User registered successfully. Please check your email for verification."


def mailed_code() -> str:
    deliver_outbox()
    found = re.search(r"code is (\d{6})", mail.outbox[-1].body)
    assert found
    return found[1]


# --- register and verify ---


def test_register_answers_as_documented(api):
    answer = api().post("/api/auth/register", NEWCOMER)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["success"], body["message"]) == (True, REGISTERED)
    assert body["data"] == {"user_id": Registration.objects.get().pk, "username": "nina", "email": "nina@new.example"}


def test_register_answers_a_known_address_alike(api, bob):
    fresh = api().post("/api/auth/register", NEWCOMER)
    known = api().post("/api/auth/register", {**NEWCOMER, "email": bob.email})
    assert known.status_code == fresh.status_code == 201
    assert known.json()["message"] == fresh.json()["message"]
    assert known.json()["data"].keys() == fresh.json()["data"].keys()
    assert known.json()["data"]["user_id"] == fresh.json()["data"]["user_id"] + 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nonsense"}, "email"),
        ({"email": None}, "email"),
        ({"username": "two words"}, "username"),
        ({"username": "x" * 51}, "username"),
        ({"first_name": ""}, "first_name"),
        ({"first_name": "N\x00l"}, "first_name"),
        ({"password": "short"}, "password"),
        ({"password": 12345678}, "password"),
        ({"invitation_token": "forged"}, "invitation_token"),
        ({"phone": ["x"]}, "phone"),
    ],
)
def test_register_names_the_field_at_fault(api, change, field):
    answer = api().post("/api/auth/register", {**NEWCOMER, **change})
    assert answer.status_code == 400
    assert field in answer.json()["error"]["details"]
    assert not Registration.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_register_refuses_what_is_no_object(api, body):
    assert api().send("POST", "/api/auth/register", body).status_code == 400


def test_register_takes_camel_case_and_v1(api):
    body = {"username": "nina", "email": "nina@new.example", "password": PASSWORD, "firstName": "Nina", "lastName": "Novak"}
    assert api().post("/v1/auth/register/", body).status_code == 201
    assert Registration.objects.get().last_name == "Novak"


@pytest.mark.parametrize("path", ["/api/auth/verify-otp", "/v1/auth/email/verify"])
def test_both_verify_paths_sign_in(api, path):
    api().post("/api/auth/register", NEWCOMER)
    answer = api().post(path, {"email": NEWCOMER["email"], "otp": mailed_code()})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["user"]["role"], data["user"]["entity"]["name"], data["expires_in"]) == ("admin", "Nina Novak", "72h")
    assert api().get("/api/auth/userinfo", HTTP_AUTHORIZATION=f"Bearer {data['access_token']}").status_code == 200


def test_verify_answers_wrong_codes_and_unknown_addresses_alike(api):
    api().post("/api/auth/register", NEWCOMER)
    code = mailed_code()
    wrong = "000000" if code != "000000" else "111111"
    answers = [api().post("/api/auth/verify-otp", {"email": email, "otp": wrong}) for email in (NEWCOMER["email"], "nobody@new.example")]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["error"] == answers[1].json()["error"]
    assert Registration.objects.get().tries_left == 4


def test_resend_answers_alike(api):
    api().post("/api/auth/register", NEWCOMER)
    Registration.objects.update(code_sent_at="2020-01-01T00:00:00Z")
    answers = [api().post("/api/auth/resend-otp", {"email": email}) for email in (NEWCOMER["email"], "somebody@new.example")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["message"] == answers[1].json()["message"]
    again = [api().post("/api/auth/resend-otp", {"email": email}) for email in (NEWCOMER["email"], "somebody@new.example")]
    assert [answer.status_code for answer in again] == [429, 429]
    assert again[0]["Retry-After"] == "60"


# --- login ---


def test_login_answers_as_documented_and_sets_the_cookie(api, bob):
    answer = api().post("/api/auth/login", {"email": bob.email, "password": PASSWORD})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert data["user"] == {
        "id": bob.pk,
        "username": bob.username,
        "email": bob.email,
        "first_name": "Bob",
        "last_name": "Baker",
        "role": "sales_rep",
        "entity": {"id": bob.tenant_id, "name": "home"},
    }
    assert data["expires_in"] == "72h"
    cookie = answer.cookies["token"]
    assert cookie.value == data["access_token"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Lax", "/", 72 * 3600)
    assert answer["Cache-Control"] == "no-store"


def test_login_has_one_answer_for_wrong_and_unknown(api, bob):
    answers = [
        api().post("/api/auth/login", {"email": email, "password": password})
        for email, password in ((bob.email, "wrong"), ("nobody@home.example", PASSWORD))
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json()["error"] == answers[1].json()["error"]
    assert "token" not in answers[0].cookies


def test_login_locks_out_with_retry_after(api, bob):
    for _ in range(5):
        api().post("/api/auth/login", {"email": bob.email, "password": "wrong"})
    answer = api().post("/api/auth/login", {"email": bob.email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "ACCOUNT_LOCKED")
    assert int(answer["Retry-After"]) > 0


def test_sign_in_is_limited_by_address(api, rate_limits, settings, bob):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "sign_in": 3}
    codes = [
        api(REMOTE_ADDR="198.51.100.7").post("/api/auth/login", {"email": "x@y.example", "password": "x"}).status_code for _ in range(4)
    ]
    assert codes == [401, 401, 401, 429]
    assert api(REMOTE_ADDR="198.51.100.8").post("/api/auth/login", {"email": bob.email, "password": PASSWORD}).status_code == 200


def test_the_cookie_reads_alone_and_writes_with_csrf(api, bob):
    client = api(enforce_csrf_checks=True)
    client.post("/api/auth/login", {"email": bob.email, "password": PASSWORD})
    assert client.get("/api/auth/userinfo").status_code == 200
    assert client.post("/api/auth/logout").status_code == 401
    assert client.get("/api/auth/userinfo").status_code == 200


# --- refresh and logout ---


@pytest.mark.parametrize("path", ["/api/auth/refresh", "/v1/auth/token/refresh"])
def test_refresh_rotates(api, bob, path):
    tokens = api().post("/api/auth/login", {"email": bob.email, "password": PASSWORD}).json()["data"]
    fresh = api().post(path, {"refreshToken": tokens["refresh_token"]})
    assert fresh.status_code == 200
    assert fresh.json()["data"]["refresh_token"] != tokens["refresh_token"]
    assert api().post(path, {"refresh_token": tokens["refresh_token"]}).status_code == 401
    assert api().get("/api/auth/userinfo", HTTP_AUTHORIZATION=f"Bearer {fresh.json()['data']['access_token']}").status_code == 401


def test_logout_ends_the_token_at_once(api, bob):
    client = api(bob)
    answer = client.post("/api/auth/logout")
    assert answer.status_code == 200
    assert answer.cookies["token"]["max-age"] == 0
    assert client.get("/api/auth/userinfo").status_code == 401


def test_an_api_key_has_no_session_to_end(api, alice):
    with acting(alice) as by:
        _, secret = create_api_key(user=alice, name="Forms", by=by)
    client = api(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert client.get("/api/auth/userinfo").status_code == 200
    assert client.post("/api/auth/logout").status_code == 403
    assert client.get("/api/auth/sessions/current").status_code == 403
    assert client.post("/api/auth/password/change", {"current_password": PASSWORD, "new_password": NEW}).status_code == 403


# --- passwords ---


def test_reset_answers_alike_and_confirm_sets(api, bob):
    answers = [api().post("/api/auth/password/reset", {"email": email}) for email in (bob.email, "nobody@home.example")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["message"] == answers[1].json()["message"]
    deliver_outbox()
    assert [message.to for message in mail.outbox] == [[bob.email]]
    token = mail.outbox[0].body.split("/reset-password/")[1].split()[0]
    assert api().post("/api/auth/password/confirm", {"token": token, "password": "short"}).status_code == 400
    assert api().post("/api/auth/password/confirm", {"token": token, "newPassword": NEW}).status_code == 200
    assert api().post("/api/auth/password/confirm", {"token": token, "password": NEW}).status_code == 400
    assert api().post("/api/auth/login", {"email": bob.email, "password": NEW}).status_code == 200


def test_confirm_refuses_a_bad_token(api, bob):
    answer = api().post("/api/auth/password/confirm", {"token": reset_token(bob) + "x", "password": NEW})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_CODE")


def test_change_keeps_this_session_alone(api, bob):
    client, other = api(bob), api(bob)
    assert client.post("/api/auth/password/change", {"current_password": "wrong", "new_password": NEW}).status_code == 400
    assert client.post("/api/auth/password/change", {"currentPassword": PASSWORD, "newPassword": NEW}).status_code == 200
    assert client.get("/api/auth/userinfo").status_code == 200
    assert other.get("/api/auth/userinfo").status_code == 401


# --- who am I ---


def test_userinfo_says_who_and_what_they_may(api, alice):
    data = api(alice).get("/api/auth/userinfo").json()["data"]
    assert (data["id"], data["role"], data["entity"]) == (alice.pk, "manager", {"id": alice.tenant_id, "name": "home"})
    assert "leads.assign_lead" in data["permissions"]
    assert "identity.change_user" not in data["permissions"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/auth/userinfo"),
        ("get", "/api/auth/sessions"),
        ("post", "/api/auth/logout"),
        ("post", "/api/auth/password/change"),
        ("get", "/api/users"),
        ("get", "/api/users/teams"),
        ("get", "/api/roles"),
        ("get", "/api/api-keys"),
        ("get", "/api/tenants/1"),
        ("get", "/api/operations"),
        ("get", "/api/audit/logs"),
    ],
)
def test_nobody_gets_in_without_signing_in(api, method, path):
    for header in (
        {},
        {"HTTP_AUTHORIZATION": "Bearer nonsense"},
        {"HTTP_AUTHORIZATION": "Bearer smk_nonsense"},
        {"HTTP_AUTHORIZATION": "Basic eDp5"},
    ):
        answer = getattr(api(), method)(path, **header)
        assert (answer.status_code, answer.json()["success"]) == (401, False)
        assert answer["WWW-Authenticate"] == "Bearer" or header == {}


def test_a_disabled_user_and_a_closed_tenant_lose_their_tokens(api, bob):
    client = api(bob)
    with tenant_scope(bob.tenant_id):
        User.objects.filter(pk=bob.pk).update(is_active=False)
    assert client.get("/api/auth/userinfo").status_code == 401
    with tenant_scope(bob.tenant_id):
        User.objects.filter(pk=bob.pk).update(is_active=True)
    bob.tenant.is_active = False
    bob.tenant.save()
    assert client.get("/api/auth/userinfo").status_code == 401


def test_another_tenant_cannot_be_named(api, bob, next_door):
    assert api(bob).get("/api/auth/userinfo", HTTP_X_TENANT_ID=str(bob.tenant_id)).status_code == 200
    assert api(bob).get("/api/auth/userinfo", HTTP_X_TENANT_ID=str(next_door.pk)).status_code == 403
    assert api(bob).get("/api/auth/userinfo", HTTP_X_API_VERSION="v2").status_code == 400


# --- sessions ---


def test_sessions_list_marks_the_present_one_and_shows_nobody_elses(api, alice, bob):
    client = api(bob)
    make_session(bob)
    make_session(alice)
    body = client.get("/api/auth/sessions").json()
    assert [row["current"] for row in body["data"]].count(True) == 1
    assert body["meta"]["pagination"] == {"page": 1, "limit": 25, "total": 2, "hasNext": False, "hasPrev": False}
    current = client.get("/api/auth/sessions/current").json()["data"]
    assert current["id"] == next(row["id"] for row in body["data"] if row["current"])


def test_one_session_ends_and_anothers_is_not_found(api, alice, bob):
    client, mine, theirs = api(bob), make_session(bob), make_session(alice)
    assert client.delete(f"/api/auth/sessions/{theirs.pk}").status_code == 404
    assert client.delete("/api/auth/sessions/abc").status_code == 400
    assert client.delete(f"/api/auth/sessions/{mine.pk}").status_code == 200
    assert client.delete(f"/api/auth/sessions/{mine.pk}").status_code == 404
    assert AuthSession.objects.get(pk=theirs.pk).ended_at is None


def test_validate_tells_whether_ones_own_token_still_opens(api, alice, bob):
    client = api(bob)
    assert client.post("/api/auth/sessions/validate").json()["data"]["valid"] is True
    tokens = api().post("/api/auth/login", {"email": bob.email, "password": PASSWORD}).json()["data"]
    assert client.post("/api/auth/sessions/validate", {"token": tokens["access_token"]}).json()["data"]["valid"] is True
    api(HTTP_AUTHORIZATION=f"Bearer {tokens['access_token']}").post("/api/auth/logout")
    for token in (
        tokens["access_token"],
        "nonsense",
        api().post("/api/auth/login", {"email": alice.email, "password": PASSWORD}).json()["data"]["access_token"],
    ):
        assert client.post("/api/auth/sessions/validate", {"token": token}).json()["data"] == {
            "valid": False,
            "session_id": None,
            "user_id": None,
            "expires_at": None,
        }
