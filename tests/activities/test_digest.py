"""The morning's summary: what is due today and what is overdue."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail

from activities.enums import ActivityType
from activities.models import Activity
from activities.services.digest import MOST_LINES, due_part
from notifications.models import Habits
from notifications.services.mailing import mail_digests
from tests.factories import acting, inside, make_lead, make_user

NOW = datetime(2026, 3, 29, 6, 0, tzinfo=UTC)


@pytest.fixture
def rep(tenant):
    return make_user(tenant, role="sales_rep", first_name="Rita", time_zone="Europe/Berlin")


def plan(lead, user, at, **fields):
    with inside(lead.tenant_id):
        return Activity.objects.create(**{"lead": lead, "user": user, "activity_type": ActivityType.CALL, "due_at": at, **fields})


def part(user):
    with acting(user) as by:
        return due_part(by, now=NOW)


def test_what_is_due_by_the_end_of_the_persons_day_stands_in_the_order_of_time(tenant, alice, rep):
    lead = make_lead(tenant, first_name="Jane", owner=rep)
    late = plan(lead, rep, NOW - timedelta(days=2), activity_type=ActivityType.TASK, description="Send @[Ann Lee](12)\nthe offer")
    noon = plan(lead, rep, datetime(2026, 3, 29, 10, 0, tzinfo=UTC))
    # Berlin's day ends at 22:00 UTC on the day its clocks go forward.
    last = plan(lead, rep, datetime(2026, 3, 29, 21, 59, tzinfo=UTC), description="x" * 200)
    plan(lead, rep, datetime(2026, 3, 29, 22, 0, tzinfo=UTC))
    plan(lead, alice, NOW)
    plan(make_lead(tenant, first_name="Other", owner=alice), rep, NOW)
    found = part(rep)
    assert found is not None
    assert found.lines == [
        ("2 days overdue · Task: Send @Ann Lee the offer · Jane", f"/leads/{lead.pk}#open-{late.pk}"),
        ("12:00 · Call · Jane", f"/leads/{lead.pk}#open-{noon.pk}"),
        (f"23:59 · Call: {'x' * 100}… · Jane", f"/leads/{lead.pk}#open-{last.pk}"),
    ]


def test_it_is_never_longer_than_a_screen_and_nothing_where_nothing_is_due(tenant, rep):
    assert part(rep) is None
    lead = make_lead(tenant, first_name="Jane", owner=rep)
    for number in range(MOST_LINES):
        plan(lead, rep, NOW + timedelta(minutes=number))
    assert len(part(rep).lines) == MOST_LINES
    plan(lead, rep, NOW + timedelta(minutes=MOST_LINES))
    lines = part(rep).lines
    assert (len(lines), lines[-1]) == (MOST_LINES, ("More waits in your queue.", "/"))


def test_the_morning_mail_holds_it(tenant, rep):
    lead = make_lead(tenant, first_name="Jane", owner=rep)
    row = plan(lead, rep, NOW)
    with inside(tenant.pk):
        Habits.objects.update_or_create(user=rep, defaults={"next_digest_at": NOW, "digest": True})
    with time_machine.travel(NOW, tick=False):
        mail_digests()
    (message,) = [message for message in mail.outbox if message.to == [rep.email]]
    assert "To do today" in message.body
    assert "08:00 · Call · Jane" in message.body
    assert f"/leads/{lead.pk}#open-{row.pk}" in message.body
