"""The pages of sign-in, sign-up and passwords."""

import re

import pytest
from django.conf import settings as django_settings
from django.core import mail

from audit.models import AuditEvent
from crm.events.services import deliver_outbox
from crm.identity.models import AuthSession, Registration, Role, User
from crm.identity.services.invitations import invitation_token, invite_user
from crm.identity.services.passwords import reset_token
from crm.tenancy.scope import tenant_scope
from tests.factories import PASSWORD, acting

pytestmark = pytest.mark.django_db
NEWCOMER = {
    "username": "nina",
    "email": "nina@new.example",
    "password": PASSWORD,
    "first_name": "Nina",
    "last_name": "",
    "company": "Nova",
    "phone": "",
}
NEW = "another-horse-battery"


def mailed_code() -> str:
    deliver_outbox()
    found = re.search(r"code is (\d{6})", mail.outbox[-1].body)
    assert found
    return found[1]


def sign_in(client, user, **extra):
    return client.post("/sign-in", {"email": user.email, "password": PASSWORD, **extra})


def test_every_page_asks_a_visitor_to_sign_in_and_comes_back(pages, bob):
    client = pages()
    answer = client.get("/settings/profile?x=1")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=%2Fsettings%2Fprofile%3Fx%3D1")
    answer = sign_in(client, bob, next="/settings/profile?x=1")
    assert (answer.status_code, answer["Location"]) == (302, "/settings/profile?x=1")
    assert client.get("/settings/profile").status_code == 200


def test_signing_in_changes_the_session_and_is_on_record(pages, bob):
    client = pages()
    client.get("/sign-in")
    session = client.session
    session["planted"] = 1
    session.save()
    before = client.cookies[django_settings.SESSION_COOKIE_NAME].value if django_settings.SESSION_COOKIE_NAME in client.cookies else None
    sign_in(client, bob)
    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != before
    assert "planted" not in client.session
    with tenant_scope(bob.tenant_id):
        assert AuditEvent.objects.get().door == "page"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"])
def test_sign_in_sends_nobody_elsewhere(pages, bob, target):
    assert sign_in(pages(), bob, next=target)["Location"] == "/"


def test_wrong_credentials_answer_422_alike(pages, bob):
    texts = []
    for email, password in ((bob.email, "wrong"), ("nobody@home.example", PASSWORD)):
        answer = pages().post("/sign-in", {"email": email, "password": password})
        assert answer.status_code == 422
        assert password not in answer.content.decode()
        texts.append(re.findall(r"Wrong e-mail or password", answer.content.decode()))
    assert texts[0] == texts[1] == ["Wrong e-mail or password"]


def test_a_locked_address_is_told_to_wait(pages, bob):
    for _ in range(5):
        pages().post("/sign-in", {"email": bob.email, "password": "wrong"})
    answer = sign_in(pages(), bob)
    assert answer.status_code == 429
    assert "Try again in" in answer.content.decode()


def test_sign_in_is_limited_by_address(pages, bob, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "sign_in": 2}
    client = pages(REMOTE_ADDR="198.51.100.9")
    codes = [client.post("/sign-in", {"email": "x@y.example", "password": "x"}).status_code for _ in range(3)]
    assert codes == [422, 422, 429]


def test_forms_need_their_csrf_token(pages, bob):
    assert sign_in(pages(enforce_csrf_checks=True), bob).status_code == 403
    assert pages(bob, enforce_csrf_checks=True).post("/sign-out").status_code == 403


def test_signing_out_ends_the_session_and_a_link_does_not(pages, bob):
    client = pages(bob)
    assert client.get("/sign-out").status_code == 302
    assert client.get("/settings/profile").status_code == 200
    assert client.post("/sign-out")["Location"] == "/sign-in"
    assert client.get("/settings/profile").status_code == 302
    assert AuthSession.objects.get().end_reason == "signed_out"
    assert pages().post("/sign-out").status_code == 302


def test_an_ended_session_is_out_at_the_next_click(pages, bob):
    client = pages(bob)
    AuthSession.objects.update(ended_at="2020-01-01T00:00:00Z")
    assert client.get("/settings/profile").status_code == 302


def test_somebody_signed_in_is_sent_on(pages, bob):
    for path in ("/sign-in", "/register", "/verify"):
        assert pages(bob).get(path)["Location"] == "/"


def test_sign_up_verify_and_in(pages):
    client = pages()
    answer = client.post("/register", NEWCOMER)
    assert answer["Location"] == "/verify?email=nina%40new.example"
    assert b"nina@new.example" in client.get(answer["Location"]).content
    wrong = client.post("/verify", {"email": NEWCOMER["email"], "code": "12"})
    assert wrong.status_code == 422
    assert "The code is wrong" in wrong.content.decode()
    code = mailed_code()
    assert client.post("/verify", {"email": NEWCOMER["email"], "code": f" {code[:3]} {code[3:]}"}).status_code == 302
    assert "Nova" in client.get("/settings/profile").content.decode()


def test_sign_up_refuses_at_the_field(pages, bob):
    answer = pages().post("/register", {**NEWCOMER, "username": bob.username, "email": "x"})
    assert answer.status_code == 422
    answer = pages().post("/register", {**NEWCOMER, "username": bob.username})
    assert "This username is taken" in answer.content.decode()
    assert not Registration.objects.exists()


def test_who_has_not_verified_is_led_there(pages):
    pages().post("/register", NEWCOMER)
    answer = pages().post("/sign-in", {"email": NEWCOMER["email"], "password": PASSWORD})
    assert answer["Location"] == "/verify?email=nina%40new.example"


def test_a_new_code_can_be_asked_for(pages):
    pages().post("/register", NEWCOMER)
    assert pages().post("/verify/resend", {"email": NEWCOMER["email"]}).status_code == 429
    Registration.objects.update(code_sent_at="2020-01-01T00:00:00Z")
    assert pages().post("/verify/resend", {"email": NEWCOMER["email"]})["Location"].startswith("/verify?email=")
    assert pages().post("/verify/resend", {"email": "nobody@new.example"})["Location"].startswith("/verify?email=")


def test_an_invitation_is_joined(pages, alice, tenant):
    with acting(alice) as by:
        invitation = invite_user(email=NEWCOMER["email"], role=Role.objects.get(code="support"), by=by)
    path = f"/join/{invitation_token(invitation)}"
    client = pages()
    page = client.get(path).content.decode()
    assert "Alice Archer invites you" in page
    assert "nina@new.example" in page
    data = {**NEWCOMER, "invitation_token": path.removeprefix("/join/")}
    assert client.post(path, {**data, "email": "other@new.example"}).status_code == 422
    assert client.post(path, data).status_code == 302
    client.post("/verify", {"email": NEWCOMER["email"], "code": mailed_code()})
    with tenant_scope(tenant.pk):
        assert User.objects.get(email=NEWCOMER["email"]).role.code == "support"
    assert pages().get(path).status_code == 404


@pytest.mark.parametrize("path", ["/join/forged", "/reset-password/forged", "/reset-password/MQ.x-y"])
def test_a_closed_link_says_so(pages, path):
    answer = pages().get(path)
    assert answer.status_code == 404
    assert "no longer valid" in answer.content.decode()


def test_a_forgotten_password_is_set_by_the_mailed_link(pages, bob):
    answers = [pages().post("/forgot-password", {"email": email}) for email in (bob.email, "nobody@home.example")]
    assert [answer.status_code for answer in answers] == [200, 200]
    known, unknown = (re.sub(r'CSRFToken": "\w+"|csrfmiddlewaretoken" value="\w+"', "", answer.content.decode()) for answer in answers)
    assert known.replace(bob.email, "") == unknown.replace("nobody@home.example", "")
    path = f"/reset-password/{reset_token(bob)}"
    client = pages()
    assert client.get(path).status_code == 200
    assert client.post(path, {"password": "short"}).status_code == 422
    assert client.post(path, {"password": NEW})["Location"] == "/sign-in"
    assert pages().post("/sign-in", {"email": bob.email, "password": NEW})["Location"] == "/"


def test_the_demo_fills_in_its_accounts_and_opens_its_mailbox(pages, settings, tmp_path):
    settings.MAIL_DIR = str(tmp_path)
    assert "rep2@fxcareers.example" in pages().get("/sign-in").content.decode()
    assert "No mail yet" in pages().get("/mailbox").content.decode()
    (tmp_path / "a.log").write_text(
        "Subject: Your code\nFrom: crm@localhost\nTo: nina@new.example\nDate: Sun, 22 Nov 2026 14:00:00 -0000\n\nOpen http://localhost/verify <b>\n"
        + "-" * 79
        + "\n"
    )
    page = pages().get("/mailbox").content.decode()
    assert "Your code" in page
    assert '<a href="http://localhost/verify"' in page
    assert "<b>" not in page


def test_outside_the_demo_there_is_neither(pages, settings):
    settings.DEMO = False
    assert pages().get("/mailbox").status_code == 404
    assert "magnet-demo" not in pages().get("/sign-in").content.decode()
