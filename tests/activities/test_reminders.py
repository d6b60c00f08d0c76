"""Reminders at the right minute in anybody's zone, once; what is overdue, once; what repeats, at the same time by the clock."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.enums import ActivityStatus, ActivityType
from activities.events import ActivitiesChanged
from activities.models import Activity
from activities.services.changes import edit_activity, reschedule, snooze, update_status
from activities.services.logging import ActivityDraft, log_activity
from activities.services.recurrence import checked_rule, next_occurrence, pinned, starting_rule
from activities.services.reminders import remind_due, tell_overdue
from activities.services.snoozing import WORDS, moment_of
from crm.errors import InvalidInput
from crm.events import bus
from leads.services.editing import edit_lead
from notifications.models import Notification
from tests.factories import acting, inside, make_lead

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia")
zones = st.sampled_from([ZoneInfo(name) for name in ZONES])
moments = st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2029, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC, second=0, microsecond=0)
)


def told(tenant, kind):
    with inside(tenant.pk):
        return [(row.user_id, row.title) for row in Notification.objects.filter(kind=kind).order_by("pk")]


@contextmanager
def hearing(event, heard):
    """Subscribe within the transaction for as long as the block."""
    subscribers = bus._in_transaction[event]
    subscribers.append(heard.append)
    try:
        yield
    finally:
        subscribers.pop()


def plan(lead, user, *, due_at, kind=ActivityType.TASK, **fields):
    with acting(user) as by:
        draft = ActivityDraft(activity_type=kind, description="Send the offer", due_at=due_at, **fields)
        return log_activity(lead_id=lead.pk, draft=draft, by=by)


def test_a_reminder_comes_at_its_minute_and_once(tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    plan(lead, alice, due_at=due, remind_before=15)
    at = due - timedelta(minutes=15)
    assert remind_due(now=at - timedelta(seconds=1)) == 0
    assert remind_due(now=at) == 1
    assert remind_due(now=at + timedelta(minutes=1)) == 0
    assert told(tenant, "reminder") == [(alice.pk, "Task: Jane")]


def test_what_is_done_gone_or_closed_is_not_reminded_of(tenant, alice):
    due = datetime.now(UTC) + timedelta(hours=1)
    done, binned, won = (make_lead(tenant, owner=alice) for _ in range(3))
    rows = [plan(lead, alice, due_at=due, remind_before=0) for lead in (done, binned, won)]
    with acting(alice) as by:
        update_status(activity_id=rows[0].pk, status=ActivityStatus.COMPLETED, by=by)
    with inside(tenant.pk):
        type(binned).objects.filter(pk=binned.pk).update(deleted_at=due)
        won.status = type(won.status).objects.get(code="won")
        won.save()
    assert (remind_due(now=due), tell_overdue(now=due + timedelta(hours=2))) == (0, 0)


def test_overdue_is_told_once_and_again_when_it_was_put_off(tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    due = datetime.now(UTC).replace(microsecond=0)
    row = plan(lead, alice, due_at=due)
    assert [tell_overdue(now=due + timedelta(minutes=minutes)) for minutes in (59, 60, 61)] == [0, 1, 0]
    with inside(tenant.pk):
        Activity.objects.filter(pk=row.pk).update(due_at=due + timedelta(hours=5))
    assert [tell_overdue(now=due + timedelta(hours=hours)) for hours in (2, 6, 7)] == [0, 1, 0]
    assert told(tenant, "follow_up_overdue") == [(alice.pk, "Overdue: task with Jane")] * 2


def test_a_locked_reminder_is_left_to_whoever_holds_it(tenant, alice):
    """The claim passes over rows that another worker tells of."""
    plan(make_lead(tenant, owner=alice), alice, due_at=datetime.now(UTC), remind_before=0)
    with inside(tenant.pk):
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN SELECT 1")
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            remind_due(now=datetime.now(UTC) + timedelta(minutes=1))
    assert any("SKIP LOCKED" in query["sql"] for query in captured.captured_queries)


def test_put_off_after_a_reminder_is_reminded_of_again(tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    service, trigger = (plan(lead, alice, due_at=due, remind_before=15, kind=kind) for kind in (ActivityType.TASK, ActivityType.CALL))
    assert remind_due(now=due) == 2
    later = due + timedelta(days=2)
    with acting(alice) as by:
        reschedule(activity_id=service.pk, due_at=later, by=by)
        type(lead).objects.filter(pk=lead.pk).update(next_follow_up_at=later)
        assert set(Activity.objects.values_list("due_at", "remind_at")) == {(later, later - timedelta(minutes=15))}
    assert [remind_due(now=later - timedelta(minutes=minutes)) for minutes in (16, 15, 14)] == [0, 2, 0]
    assert trigger.pk != service.pk


@pytest.mark.parametrize("kind", [ActivityType.TASK, ActivityType.CALL])
def test_a_snooze_has_its_own_moment(tenant, alice, kind):
    lead = make_lead(tenant, owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    row = plan(lead, alice, due_at=due, remind_before=60, kind=kind)
    with acting(alice) as by:
        snooze(activity_id=row.pk, until=due - timedelta(hours=20), by=by)
        assert remind_due(now=due - timedelta(hours=20)) == 1
        row.refresh_from_db()
        assert row.remind_at == due - timedelta(hours=1)
        snooze(activity_id=row.pk, until=due + timedelta(days=1), by=by)
        later = due + timedelta(days=4)
        if kind == ActivityType.CALL:
            type(lead).objects.filter(pk=lead.pk).update(next_follow_up_at=later)
        else:
            reschedule(activity_id=row.pk, due_at=later, by=by)
        row.refresh_from_db()
        assert (row.due_at, row.remind_at, row.snoozed_until) == (later, later - timedelta(hours=1), None)


def test_a_moment_chosen_by_hand_keeps_its_distance(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    row = plan(lead, alice, due_at=due)
    with acting(alice) as by:
        edit_activity(activity_id=row.pk, data={"remind_at": due - timedelta(hours=2)}, by=by)
        moved = reschedule(activity_id=row.pk, due_at=due + timedelta(days=1), by=by)
        assert (moved.remind_before, moved.remind_at) == (120, due + timedelta(hours=22))
        assert edit_activity(activity_id=row.pk, data={"remind_at": None}, by=by).remind_before is None


# --- what repeats ---


def test_the_next_of_a_snoozed_one_is_reminded_of_before_it_is_due(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    row = plan(lead, alice, due_at=due, recurrence="FREQ=WEEKLY", remind_before=30)
    with acting(alice) as by:
        snooze(activity_id=row.pk, until=due + timedelta(days=1), by=by)
        update_status(activity_id=row.pk, status=ActivityStatus.COMPLETED, by=by)
        following = Activity.objects.get(lead=lead, status="pending")
        assert following.due_at - following.remind_at == timedelta(minutes=30)


@pytest.mark.parametrize("door", ["composer", "lead", "plain update"])
def test_every_way_of_closing_goes_on_with_the_series(tenant, alice, door):
    lead = make_lead(tenant, owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    row = plan(lead, alice, due_at=due, recurrence="FREQ=WEEKLY", remind_before=30, kind=ActivityType.FOLLOW_UP)
    heard = []
    with acting(alice) as by, hearing(ActivitiesChanged, heard):
        match door:
            case "composer":
                draft = ActivityDraft(activity_type=ActivityType.CALL, status=ActivityStatus.COMPLETED, closes=row.pk)
                log_activity(lead_id=lead.pk, draft=draft, by=by)
            case "lead":
                edit_lead(lead_id=lead.pk, data={"next_follow_up_at": None, "last_contact_at": timezone.now()}, by=by)
            case _:
                type(lead).objects.filter(pk=lead.pk).update(next_follow_up_at=None, last_contact_at=timezone.now())
                remind_due()
        following = Activity.objects.get(lead=lead, status="pending")
        row.refresh_from_db()
        assert (row.status, row.awaits_next, following.series, following.remind_before) == ("completed", False, row.pk, 30)
        assert timedelta(days=6, hours=22) < following.due_at - due < timedelta(days=7, hours=2)
        assert type(lead).objects.get(pk=lead.pk).next_follow_up_at == following.due_at
        assert remind_due() == 0
        assert Activity.objects.filter(lead=lead, series=row.pk).count() == 2
    assert any(row.pk in event.activity_ids for event in heard)


def test_a_date_given_up_ends_the_series(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    row = plan(lead, alice, due_at=datetime.now(UTC) + timedelta(hours=1), recurrence="FREQ=DAILY", kind=ActivityType.FOLLOW_UP)
    with acting(alice) as by:
        edit_lead(lead_id=lead.pk, data={"next_follow_up_at": None}, by=by)
        assert list(Activity.objects.filter(lead=lead).values_list("pk", "status")) == [(row.pk, "cancelled")]


@pytest.mark.parametrize("rule", ["FREQ=DAILY;INTERVAL=7;BYDAY=MO", "FREQ=DAILY;COUNT=1", "FREQ=MONTHLY;INTERVAL=366"])
def test_a_rule_without_a_second_time_is_refused(tenant, alice, rule):
    tuesday = datetime(2030, 1, 1, 9, tzinfo=UTC)
    with pytest.raises(InvalidInput) as refused:
        starting_rule(rule, due_at=tuesday, zone=ZoneInfo("UTC"))
    assert list(refused.value.details) == ["recurrence"]
    assert starting_rule("FREQ=DAILY;INTERVAL=7;BYDAY=TU", due_at=tuesday, zone=ZoneInfo("UTC"))


def test_doing_a_recurring_task_makes_the_next_one(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    first = plan(lead, alice, due_at=due, recurrence="FREQ=WEEKLY;COUNT=2", remind_before=30)
    with acting(alice) as by:
        update_status(activity_id=first.pk, status=ActivityStatus.COMPLETED, by=by)
        second = Activity.objects.get(lead=lead, status="pending")
        assert (second.series, second.description) == (first.pk, "Send the offer")
        assert timedelta(days=6, hours=22) < second.due_at - due < timedelta(days=7, hours=2)
        assert second.due_at - second.remind_at == timedelta(minutes=30)
        update_status(activity_id=second.pk, status=ActivityStatus.COMPLETED, by=by)
        assert not Activity.objects.filter(lead=lead, status="pending").exists()


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=HOURLY",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=DAILY;COUNT=0",
        "FREQ=MONTHLY;BYMONTHDAY=99",
        "DAILY",
        "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;BYEASTER=1",
    ],
)
def test_rules_that_cannot_be_are_refused(rule):
    if not rule:
        assert checked_rule(rule) == ""
        return
    with pytest.raises(InvalidInput):
        checked_rule(rule)


@given(at=moments, zone=zones, frequency=st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]), interval=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_the_local_time_stays_across_changes_of_the_clocks(at, zone, frequency, interval):
    meant = at.astimezone(zone)
    rule = pinned(checked_rule(f"FREQ={frequency};INTERVAL={interval}"), due_at=at, zone=zone)
    present = at
    for _ in range(14):
        following, rule = next_occurrence(rule, due_at=present, zone=zone)
        assert following > present
        local = following.astimezone(zone)
        left_out = local.replace(hour=meant.hour, minute=meant.minute).astimezone(UTC).astimezone(zone).time() != meant.time()
        assert left_out or (local.hour, local.minute) == (meant.hour, meant.minute)
        present = following


def test_the_last_of_a_month_stays_the_last():
    zone = ZoneInfo("Europe/Berlin")
    at = datetime(2024, 1, 31, 9, tzinfo=zone)
    rule, days = pinned("FREQ=MONTHLY", due_at=at, zone=zone), []
    for _ in range(4):
        at, rule = next_occurrence(rule, due_at=at, zone=zone)
        days.append(at.astimezone(zone).strftime("%m-%d %H"))
    assert days == ["02-29 09", "03-31 09", "04-30 09", "05-31 09"]


@pytest.mark.parametrize(("until", "number"), [("20240603", 2), ("20240603T065959Z", 1), ("20240603T070000Z", 2)])
def test_an_end_is_a_whole_local_day_or_a_moment(until, number):
    zone = ZoneInfo("Europe/Berlin")
    at, rule, found = datetime(2024, 6, 1, 9, tzinfo=zone), f"FREQ=DAILY;UNTIL={until}", 0
    while (following := next_occurrence(rule, due_at=at, zone=zone)) is not None:
        at, rule = following
        found += 1
    assert found == number


# --- words for times ---


@given(at=moments, zone=zones, word=st.sampled_from(sorted(WORDS)))
@settings(max_examples=200, deadline=None)
def test_words_mean_a_time_ahead_by_the_clock(at, zone, word):
    found = moment_of(word, now=at, zone=zone)
    assert at < found <= at + timedelta(days=8, hours=2)
    local = found.astimezone(zone)
    if word in ("1d", "3d", "7d", "monday"):
        assert (local.hour, local.minute) == (9, 0)
    if word == "1d":
        assert (local.date() - at.astimezone(zone).date()).days in (1, 2)
    if word == "monday":
        assert local.weekday() == 0
