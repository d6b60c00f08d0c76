"""Sign in and out, lock-out, refresh, reset."""

import threading
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.db import connections
from django.utils import timezone

from audit.models import AuditEvent
from crm.errors import InvalidInput, NotFound, NotSignedIn
from crm.events.services import deliver_outbox
from crm.identity.authentication import session_of
from crm.identity.enums import SessionKind
from crm.identity.errors import EmailNotVerified, LockedOut, WrongCode, WrongCredentials
from crm.identity.models import AuthSession, User
from crm.identity.services.cleanup import clear_leftovers
from crm.identity.services.passwords import ask_password_reset, change_password, check_password_of, confirm_password_reset, reset_token
from crm.identity.services.registration import register
from crm.identity.services.signin import (
    Client,
    end_other_sessions,
    end_session,
    issue_tokens,
    open_session,
    refresh_tokens,
    sign_in,
    sign_out,
)
from crm.identity.tokens import parse_duration, read_access
from crm.tenancy.scope import tenant_scope
from tests.factories import PASSWORD, make_session, make_tenant, make_user

pytestmark = pytest.mark.django_db
HERE = Client(ip="127.0.0.1", user_agent="test")
NEW = "another-horse-battery"


def signed_in(user, kind=SessionKind.API):
    return sign_in(email=user.email, password=PASSWORD, kind=kind, client=HERE)


def test_sign_in_opens_a_session_and_is_on_record(bob):
    session = sign_in(email=bob.email.upper(), password=PASSWORD, kind=SessionKind.PAGE, client=HERE)
    assert (session.user, session.kind, session.ip) == (bob, "page", "127.0.0.1")
    with tenant_scope(bob.tenant_id):
        event = AuditEvent.objects.get()
    assert (event.action, event.user_id, event.door, event.details) == ("signed_in", bob.pk, "page", {"session": session.pk})


def test_wrong_credentials_have_one_answer(bob, tenant):
    left = make_user(tenant, is_active=False)
    messages = set()
    for email, password in [(bob.email, "wrong"), ("nobody@home.example", PASSWORD), (left.email, PASSWORD)]:
        with pytest.raises(WrongCredentials) as refusal:
            sign_in(email=email, password=password, kind=SessionKind.API, client=HERE)
        messages.add((refusal.value.message, refusal.value.field))
    assert len(messages) == 1
    assert not AuthSession.objects.exists()


def test_only_who_knows_the_password_learns_that_the_address_is_unverified():
    register(username="nina", email="nina@new.example", password=PASSWORD, first_name="Nina")
    with pytest.raises(EmailNotVerified):
        sign_in(email="nina@new.example", password=PASSWORD, kind=SessionKind.API, client=HERE)
    with pytest.raises(WrongCredentials):
        sign_in(email="nina@new.example", password="wrong", kind=SessionKind.API, client=HERE)


@pytest.mark.parametrize("known", [True, False])
def test_five_wrong_passwords_lock_an_address_known_or_not_and_the_wait_doubles(bob, known):
    email = bob.email if known else f"nobody-{timezone.now().timestamp()}@home.example"
    start = timezone.now()
    waits = []
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(5):
            with pytest.raises(WrongCredentials):
                check_password_of(email=email, password="wrong")
        for _ in range(3):
            with pytest.raises(LockedOut) as refusal:
                check_password_of(email=email, password=PASSWORD)
            waits.append(refusal.value.retry_after)
            clock.shift(refusal.value.retry_after)
            with pytest.raises(WrongCredentials):
                check_password_of(email=email, password="wrong")
    assert waits == [31, 61, 121]


def test_the_wait_ends_at_an_hour_and_a_good_password_forgets(bob):
    User.identities.filter(pk=bob.pk).update(failed_sign_ins=500)
    with pytest.raises(WrongCredentials):
        check_password_of(email=bob.email, password="wrong")
    with pytest.raises(LockedOut) as refusal:
        check_password_of(email=bob.email, password=PASSWORD)
    assert 3590 < refusal.value.retry_after <= 3601
    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=2)):
        check_password_of(email=bob.email, password=PASSWORD)
    bob.refresh_from_db()
    assert (bob.failed_sign_ins, bob.locked_until) == (0, None)


def test_a_closed_tenant_lets_nobody_in():
    closed = make_tenant(is_active=False)
    with pytest.raises(WrongCredentials):
        signed_in(make_user(closed))


# --- tokens ---


def test_the_access_token_has_the_documented_claims(bob):
    session = signed_in(bob)
    claims = read_access(issue_tokens(session=session).access)
    assert claims is not None
    assert {name: claims[name] for name in ("user_id", "email", "role_id", "entity_id", "entity_name")} == {
        "user_id": bob.pk,
        "email": bob.email,
        "role_id": bob.role_id,
        "entity_id": bob.tenant_id,
        "entity_name": "home",
    }
    assert claims["exp"] - claims["iat"] == 72 * 3600


@pytest.mark.parametrize(
    ("text", "expected"),
    [("72h", timedelta(hours=72)), ("30m", timedelta(minutes=30)), ("7d", timedelta(days=7)), ("90", timedelta(seconds=90))],
)
def test_durations_are_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1w"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="Not a duration"):
        parse_duration(text)


def test_a_refresh_token_serves_once_and_a_replay_ends_the_session(bob):
    session = signed_in(bob)
    first = issue_tokens(session=session)
    second = refresh_tokens(refresh=first.refresh)
    assert read_access(second.access) is not None
    with pytest.raises(NotSignedIn):
        refresh_tokens(refresh=first.refresh)
    session.refresh_from_db()
    assert session.end_reason == "refresh_replayed"
    assert session_of(session.pk) is None
    with pytest.raises(NotSignedIn):
        refresh_tokens(refresh=second.refresh)


@pytest.mark.parametrize("guess", ["{id}.guess", "{id}.guess.sign", "{id}.", "{id}..", "x.y.z", "", ".", "9" * 30 + ".a.b"])
def test_a_guessed_refresh_token_ends_nothing(bob, guess):
    session = signed_in(bob)
    tokens = issue_tokens(session=session)
    with pytest.raises(NotSignedIn):
        refresh_tokens(refresh=guess.format(id=session.pk))
    assert refresh_tokens(refresh=tokens.refresh).access


@pytest.mark.slow
def test_of_eight_at_once_exactly_one_refreshes(committed_db):
    user = make_user(make_tenant())
    session = open_session(user=user, kind=SessionKind.API, client=HERE)
    refresh = issue_tokens(session=session).refresh
    start, won, lost = threading.Barrier(8), [], []

    def use() -> None:
        start.wait()
        try:
            won.append(refresh_tokens(refresh=refresh))
        except NotSignedIn:
            lost.append(1)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    session.refresh_from_db()
    assert session.end_reason == "refresh_replayed"


# --- sessions ---


def test_signing_out_ends_the_session_once_and_is_on_record(bob):
    session = signed_in(bob)
    sign_out(session=session)
    sign_out(session=session)
    assert session_of(session.pk) is None
    with tenant_scope(bob.tenant_id):
        assert list(AuditEvent.objects.order_by("id").values_list("action", flat=True)) == ["signed_in", "signed_out"]


def test_one_ends_ones_own_sessions_only(alice, bob):
    mine, other, theirs = make_session(bob), make_session(bob), make_session(alice)
    with pytest.raises(NotFound):
        end_session(user=bob, session_id=theirs.pk)
    assert end_other_sessions(user=bob, keep=mine) == 1
    assert [session_of(item.pk) is not None for item in (mine, other, theirs)] == [True, False, True]


def test_leftovers_are_cleared(bob):
    old = make_session(bob)
    AuthSession.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=31))
    fresh = make_session(bob)
    clear_leftovers()
    assert list(AuthSession.objects.all()) == [fresh]


# --- passwords ---


def test_a_reset_sets_the_password_unlocks_and_ends_every_session(bob):
    session = make_session(bob)
    User.identities.filter(pk=bob.pk).update(locked_until=timezone.now() + timedelta(hours=1), failed_sign_ins=9)
    ask_password_reset(email=bob.email.upper())
    deliver_outbox()
    token = mail.outbox[-1].body.split("/reset-password/")[1].split()[0]
    confirm_password_reset(token=token, password=NEW)
    assert session_of(session.pk) is None
    assert check_password_of(email=bob.email, password=NEW) == bob
    with pytest.raises(WrongCode):
        confirm_password_reset(token=token, password=PASSWORD)


def test_asking_for_an_unknown_address_mails_nothing(tenant):
    ask_password_reset(email="nobody@home.example")
    deliver_outbox()
    assert mail.outbox == []


@pytest.mark.parametrize("token", ["", "x", "MQ.x-y", "\x00.a", "é.b", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5.a-b"])
def test_a_bad_reset_token_is_refused(db, token):
    with pytest.raises(WrongCode):
        confirm_password_reset(token=token, password=NEW)


def test_a_reset_token_dies_with_the_next_sign_in(bob):
    token = reset_token(bob)
    signed_in(bob)
    with pytest.raises(WrongCode):
        confirm_password_reset(token=token, password=NEW)


def test_changing_the_password_needs_the_present_one_and_ends_other_sessions(bob):
    mine, other = make_session(bob), make_session(bob)
    with pytest.raises(InvalidInput) as refusal:
        change_password(user=bob, current="wrong", new=NEW, keep=mine)
    assert refusal.value.field == "current_password"
    with pytest.raises(InvalidInput) as refusal:
        change_password(user=bob, current=PASSWORD, new="short", keep=mine)
    assert refusal.value.field == "new_password"
    change_password(user=bob, current=PASSWORD, new=NEW, keep=mine)
    assert session_of(mine.pk) is not None
    assert session_of(other.pk) is None
