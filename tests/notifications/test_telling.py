"""Who is told what, where and when."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core import mail
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from crm.actors import Actor
from crm.identity.models import User
from crm.tenancy.models import Tenant
from notifications.models import Habits, Notification, Preference
from notifications.registry import DigestPart, digest_parts, notification_kind
from notifications.services import notify
from notifications.services.mailing import GIVE_UP_AFTER, mail_digests, mail_due, next_morning
from notifications.services.telling import awake_at
from tests.factories import inside

pytestmark = pytest.mark.django_db
MAILED = notification_kind("test_mailed", "A test that is mailed", by_email=True)
SHOWN = notification_kind("test_shown", "A test that is shown")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def tell(tenant: Tenant, *users: User, kind: str = SHOWN, by: Actor | None = None, **values) -> int:
    with inside(tenant.pk):
        values.setdefault("title", "Lead given to you")
        return notify(kind=kind, user_ids=[user.pk for user in users], by=by or Actor.system(tenant_id=tenant.pk), **values)


def told(tenant: Tenant, user: User) -> list[Notification]:
    with inside(tenant.pk):
        return list(Notification.objects.filter(user=user))


def mails_later(minutes: float = 2) -> list:
    with time_machine.travel(NOON + timedelta(minutes=minutes), tick=False):
        mail_due()
    return mail.outbox


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOON, tick=False):
        yield


def test_each_person_is_told_once_but_not_of_their_own_doing(tenant, alice, bob):
    actor = Actor(tenant_id=tenant.pk, user_id=alice.pk, label="Alice", door="page")
    assert tell(tenant, alice, bob, bob, by=actor, url="/leads/1", body="Ann of Acme") == 1
    (row,) = told(tenant, bob)
    assert (row.title, row.body, row.url, row.read_at, row.mail_at) == ("Lead given to you", "Ann of Acme", "/leads/1", None, None)
    assert told(tenant, alice) == []


def test_a_key_is_told_at_most_once(tenant, alice, bob):
    assert tell(tenant, bob, once="breach:7") == 1
    assert tell(tenant, alice, bob, once="breach:7") == 1
    assert len(told(tenant, bob)) == len(told(tenant, alice)) == 1
    assert tell(tenant, bob) == tell(tenant, bob) == 1


def test_who_left_or_belongs_next_door_is_not_told(tenant, bob, mallory):
    bob.is_active = False
    with inside(tenant.pk):
        bob.save()
    assert tell(tenant, bob, mallory) == 0


def test_what_the_writer_takes_back_is_never_told(tenant, bob):
    with inside(tenant.pk), transaction.atomic():
        tell(tenant, bob)
        transaction.set_rollback(True)
    assert told(tenant, bob) == []


def test_a_kind_mailed_by_default_goes_out_unless_seen_by_then(tenant, alice, bob):
    tell(tenant, alice, bob, kind=MAILED, title="Deal\r\nBcc: all@x.example", url="/leads/1")
    assert mail_due() == 0
    with inside(tenant.pk):
        Notification.objects.filter(user=alice).update(read_at=NOON)
    (message,) = mails_later()
    assert (message.to, message.subject) == ([bob.email], "Deal Bcc: all@x.example")
    assert "/leads/1" in message.body
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert len(mails_later(60)) == 1


def test_somebody_may_wish_to_hear_by_mail_alone_or_not_at_all(tenant, alice, bob):
    with inside(tenant.pk):
        Preference.objects.create(user=alice, kind=MAILED, in_page=False, by_mail="at_once")
        Preference.objects.create(user=bob, kind=MAILED, in_page=False, by_mail="never")
    assert tell(tenant, alice, bob, kind=MAILED) == 1
    assert not told(tenant, alice)[0].in_page
    assert [message.to for message in mails_later()] == [[alice.email]]


def test_mails_wait_for_the_end_of_quiet_hours(tenant, bob):
    with inside(tenant.pk):
        Habits.objects.create(user=bob, quiet_from=time(11), quiet_to=time(13, 30))
    tell(tenant, bob, kind=MAILED)
    assert mails_later(60) == []
    assert len(mails_later(91)) == 1


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30), timezones=st.just(UTC)),
    quiet=st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1]),
    zone=st.sampled_from(["UTC", "Europe/London", "America/New_York", "Asia/Kolkata"]),
)
def test_quiet_hours_end_at_their_end_also_past_midnight(at, quiet, zone):
    start, end = quiet
    habits = Habits(quiet_from=start, quiet_to=end)
    awake = awake_at(habits, at, ZoneInfo(zone))
    assert at <= awake <= at + timedelta(hours=25)
    assert awake_at(habits, awake, ZoneInfo(zone)) == awake


def test_a_mail_server_that_refuses_is_asked_again_and_given_up_in_the_end(tenant, bob, monkeypatch):
    def refuse(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    tell(tenant, bob, kind=MAILED)
    minutes = 2.0
    for number in range(1, GIVE_UP_AFTER + 1):
        mails_later(minutes)
        (row,) = told(tenant, bob)
        assert row.mail_tries == number
        minutes += 2**number + 1
    assert row.mail_at is None
    assert row.mailed_at is None


def test_a_worker_killed_while_mailing_mails_again_after_its_lease(tenant, bob, monkeypatch):
    tell(tenant, bob, kind=MAILED)

    def die(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", die)
        with pytest.raises(SystemExit):
            mails_later()
    assert mails_later(5) == []
    assert len(mails_later(13)) == 1


# --- the summary ---


def morning(user: User, days: int = 1) -> datetime:
    with inside(user.tenant_id):
        return next_morning(user, NOON) + timedelta(days=days - 1)


def digests_at(at: datetime) -> list:
    with time_machine.travel(at, tick=False):
        mail_digests()
    return mail.outbox


def test_the_summary_comes_at_eight_local_with_what_one_chose_for_it(tenant, bob):
    bob.time_zone = "America/New_York"
    with inside(tenant.pk):
        bob.save()
        Preference.objects.create(user=bob, kind=SHOWN, in_page=True, by_mail="daily")
    assert digests_at(NOON) == []
    tell(tenant, bob, title="Ann answered", url="/leads/5")
    eight = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert digests_at(eight - timedelta(minutes=1)) == []
    (message,) = digests_at(eight)
    assert message.to == [bob.email]
    assert "Ann answered" in message.body
    assert "/leads/5" in message.body
    assert len(digests_at(eight + timedelta(minutes=5))) == 1
    # Nothing new the next day: no mail.
    assert len(digests_at(eight + timedelta(days=1))) == 1


def test_apps_add_what_is_due_and_nobody_gets_an_empty_summary(tenant, alice, bob, monkeypatch):
    monkeypatch.setattr(digest_parts, "_items", {"main": []}, raising=False)
    digest_parts.add(
        "main", lambda actor: DigestPart(title="Due today", lines=[("Call Ann", "/leads/5")]) if actor.user_id == bob.pk else None
    )
    digests_at(NOON)
    sent = digests_at(datetime(2026, 3, 11, 9, tzinfo=UTC))
    assert [message.to for message in sent] == [[bob.email]]
    assert "Due today\n- Call Ann" in sent[0].body


def test_a_summary_missed_while_all_was_down_comes_late_and_once(tenant, bob):
    with inside(tenant.pk):
        Preference.objects.create(user=bob, kind=SHOWN, in_page=True, by_mail="daily")
    digests_at(NOON)
    tell(tenant, bob)
    assert len(digests_at(datetime(2026, 3, 13, 20, tzinfo=UTC))) == 1
    assert len(digests_at(datetime(2026, 3, 13, 21, tzinfo=UTC))) == 1


def test_who_wants_no_summary_gets_none(tenant, bob):
    with inside(tenant.pk):
        Preference.objects.create(user=bob, kind=SHOWN, in_page=True, by_mail="daily")
        Habits.objects.create(user=bob, digest=False)
    digests_at(NOON)
    tell(tenant, bob)
    assert digests_at(datetime(2026, 3, 11, 9, tzinfo=UTC)) == []


def test_the_morning_stays_at_eight_when_the_clocks_change(tenant, bob):
    bob.time_zone = "Europe/London"
    with inside(tenant.pk):
        bob.save()
        before = next_morning(bob, datetime(2026, 3, 27, 12, tzinfo=UTC))
        after = next_morning(bob, datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert (before.astimezone(UTC).hour, after.astimezone(UTC).hour) == (8, 7)
