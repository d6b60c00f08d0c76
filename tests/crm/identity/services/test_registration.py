"""Sign up, prove the address, join or open a tenant."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from crm.errors import InvalidInput, TooManyRequests
from crm.events.services import deliver_outbox
from crm.identity.errors import UsernameTaken, WrongCode
from crm.identity.models import Invitation, Registration, Role, TeamMember, User
from crm.identity.services.invitations import AlreadyMember, invitation_token, invite_user, withdraw_invitation
from crm.identity.services.registration import RESEND_AFTER, register, resend_code, verify_email
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from tests.factories import PASSWORD, acting, make_team, make_user

pytestmark = pytest.mark.django_db
NEWCOMER = {
    "username": "nina",
    "email": "nina@new.example",
    "password": PASSWORD,
    "first_name": "Nina",
    "last_name": "Novak",
    "phone": "555-0100",
}


def mailed_code() -> str:
    deliver_outbox()
    found = re.search(r"code is (\d{6})", mail.outbox[-1].body)
    assert found
    return found[1]


def test_verifying_the_code_makes_an_admin_of_a_new_tenant():
    registration = register(**NEWCOMER, company="Nova Trading")
    assert not User.identities.filter(email=NEWCOMER["email"]).exists()

    user = verify_email(email="Nina@new.example", code=mailed_code())

    assert (user.tenant.name, user.username, user.phone) == ("Nova Trading", "nina", "555-0100")
    with tenant_scope(user.tenant_id):
        assert user.role.code == "admin"
        assert Role.objects.count() == 4
    assert user.check_password(PASSWORD)
    assert not Registration.objects.filter(pk=registration.pk).exists()


def test_a_taken_company_name_gets_a_number(tenant):
    register(**NEWCOMER, company=tenant.name)
    assert verify_email(email=NEWCOMER["email"], code=mailed_code()).tenant.name == f"{tenant.name} 2"


def test_the_code_is_stored_nowhere_in_plain():
    register(**NEWCOMER)
    code = mailed_code()
    registration = Registration.objects.get(email=NEWCOMER["email"])
    assert code not in registration.code_hash
    assert registration.password != PASSWORD


def test_a_code_dies_after_five_wrong_tries():
    register(**NEWCOMER)
    code = mailed_code()
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(5):
        with pytest.raises(WrongCode):
            verify_email(email=NEWCOMER["email"], code=wrong)
    with pytest.raises(WrongCode):
        verify_email(email=NEWCOMER["email"], code=code)


def test_a_code_dies_after_ten_minutes():
    register(**NEWCOMER)
    code = mailed_code()
    with time_machine.travel(timezone.now() + timedelta(minutes=11)), pytest.raises(WrongCode):
        verify_email(email=NEWCOMER["email"], code=code)


def test_resend_replaces_the_code_and_waits_a_minute():
    register(**NEWCOMER)
    first = mailed_code()
    with pytest.raises(TooManyRequests):
        resend_code(email=NEWCOMER["email"])
    with time_machine.travel(timezone.now() + RESEND_AFTER + timedelta(seconds=1)):
        resend_code(email=NEWCOMER["email"])
        second = mailed_code()
        if first != second:
            with pytest.raises(WrongCode):
                verify_email(email=NEWCOMER["email"], code=first)
        assert verify_email(email=NEWCOMER["email"], code=second).email == NEWCOMER["email"]


def test_a_code_admits_the_registration_it_was_mailed_for():
    own = register(**NEWCOMER)
    code = mailed_code()
    stranger = register(**{**NEWCOMER, "username": "mallory", "password": "another long passphrase"})
    mailed_code()
    assert "mallory" in mail.outbox[-1].body
    with pytest.raises(WrongCode):
        verify_email(email=NEWCOMER["email"], code=code, registration_id=stranger.pk)
    user = verify_email(email=NEWCOMER["email"], code=code)
    assert user.username == own.username
    assert user.check_password(PASSWORD)


def test_a_browser_verifies_its_own_registration_only(client):
    form = {**NEWCOMER, "company": "Own"}
    assert client.post("/register", form).status_code == 302
    register(**{**NEWCOMER, "username": "mallory", "password": "another long passphrase"})
    strangers = mailed_code()
    answer = client.post("/verify", {"email": NEWCOMER["email"], "code": strangers})
    assert answer.status_code == 422
    assert not User.identities.filter(email=NEWCOMER["email"]).exists()


def test_resend_treats_an_unknown_address_alike():
    resend_code(email="nobody@new.example")
    with pytest.raises(TooManyRequests):
        resend_code(email="nobody@new.example")
    deliver_outbox()
    assert mail.outbox == []


def test_a_known_address_registers_alike_and_is_told_by_mail(bob):
    registration = register(**{**NEWCOMER, "email": bob.email})
    deliver_outbox()
    assert registration.pk is not None
    assert "already have" in mail.outbox[-1].subject
    assert not re.search(r"\d{6}", mail.outbox[-1].body)
    with pytest.raises(WrongCode):
        verify_email(email=bob.email, code="000000")


@pytest.mark.parametrize("password", ["short", "12345678901", "password", "nina@new.example"])
def test_a_weak_password_is_refused(password):
    with pytest.raises(InvalidInput) as refusal:
        register(**{**NEWCOMER, "password": password})
    assert refusal.value.field == "password"
    assert not Registration.objects.exists()


def test_a_taken_username_is_refused_whatever_its_case(bob):
    with pytest.raises(UsernameTaken):
        register(**{**NEWCOMER, "username": bob.username.upper()})


# --- invitations ---


def invited(alice, email=NEWCOMER["email"], role="sales_rep", team=None) -> Invitation:
    with acting(alice) as by:
        return invite_user(email=email, role=Role.objects.get(code=role), team=team, by=by)


def test_an_invitation_leads_into_its_tenant_role_and_team(alice, tenant):
    team = make_team(tenant)
    invitation = invited(alice, team=team)
    deliver_outbox()
    assert "/join/" in mail.outbox[-1].body

    register(**NEWCOMER, invitation_token=invitation_token(invitation))
    user = verify_email(email=NEWCOMER["email"], code=mailed_code())

    with tenant_scope(tenant.pk):
        assert (user.tenant_id, user.role.code) == (tenant.pk, "sales_rep")
        assert TeamMember.objects.filter(team=team, user=user).exists()
        invitation.refresh_from_db()
        assert invitation.accepted_at is not None
    assert Tenant.objects.count() == 1


def test_an_invitation_serves_its_own_address_only(alice):
    token = invitation_token(invited(alice, email="other@new.example"))
    with pytest.raises(InvalidInput) as refusal:
        register(**NEWCOMER, invitation_token=token)
    assert refusal.value.field == "email"


@pytest.mark.parametrize("token", ["forged", "WzEsMV0:1aaaaa:bbbbbbb", "x" * 300])
def test_a_forged_invitation_is_refused(token):
    with pytest.raises(WrongCode):
        register(**NEWCOMER, invitation_token=token)


def test_a_withdrawn_or_old_invitation_is_refused(alice):
    invitation = invited(alice)
    token = invitation_token(invitation)
    with time_machine.travel(timezone.now() + timedelta(days=8)), pytest.raises(WrongCode):
        register(**NEWCOMER, invitation_token=token)
    with acting(alice) as by:
        withdraw_invitation(invitation=invitation, by=by)
    with pytest.raises(WrongCode):
        register(**NEWCOMER, invitation_token=token)


def test_a_second_invitation_replaces_the_first(alice, tenant):
    invited(alice)
    second = invited(alice)
    with tenant_scope(tenant.pk):
        assert list(Invitation.objects.filter(withdrawn_at=None)) == [second]


def test_a_member_cannot_be_invited_again(alice, bob):
    with pytest.raises(AlreadyMember):
        invited(alice, email=bob.email.upper())


def test_nobody_invites_into_a_greater_role(alice, tenant):
    from crm.errors import Forbidden

    with pytest.raises(Forbidden):
        invited(alice, role="admin")
    assert invited(make_user(tenant, role="admin"), role="admin").role.code == "admin"
