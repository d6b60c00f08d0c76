"""The secret calendar address: what is read there, by whom, and what is not."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from icalendar import Calendar

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, CalendarFeed
from activities.services.feeds import CALLS_AN_HOUR, make_feed
from crm.identity.models import User
from tests.factories import acting, inside, make_lead, make_user


def plan(lead, user, at, **fields):
    with inside(lead.tenant_id):
        status = fields.setdefault("status", ActivityStatus.PENDING)
        fields.setdefault("completed_at", at if status == ActivityStatus.COMPLETED else None)
        return Activity.objects.create(**{"lead": lead, "user": user, "activity_type": ActivityType.CALL, "due_at": at, **fields})


def address_of(user):
    with acting(user) as by:
        return f"/calendar/feed/{make_feed(by=by)}.ics"


def events(client, address):
    answer = client.get(address)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    return {str(event["summary"]): event for event in Calendar.from_ical(answer.content).walk("VEVENT")}


@pytest.fixture
def visitor(pages):
    return pages()


def test_a_meeting_stands_in_utc_with_a_lasting_name_its_length_and_escaped_text(visitor, tenant, alice):
    at = timezone.now().astimezone(UTC).replace(microsecond=0) + timedelta(days=1)
    lead = make_lead(tenant, first_name="Jane; DROP", last_name="A,B", owner=alice, phone="+12025550123")
    row = plan(
        lead, alice, at, activity_type=ActivityType.MEETING, duration=45, location="Room 1\\2; left",
        description="Line one\nEND:VEVENT\nBEGIN:VEVENT\nfor @[Ann Lee](12)",
    )  # fmt: skip
    found = events(visitor, address_of(alice))
    event = found["Meeting: Jane; DROP A,B"]
    assert len(found) == 1
    assert (event["uid"], event["dtstart"].dt, event["dtend"].dt) == (f"activity-{row.pk}@localhost", at, at + timedelta(minutes=45))
    assert (event["location"], event["transp"]) == ("Room 1\\2; left", "OPAQUE")
    assert event["description"].splitlines()[:4] == ["Line one", "END:VEVENT", "BEGIN:VEVENT", "for @Ann Lee"]
    assert event["url"].endswith(f"/leads/{lead.pk}")
    assert event["sequence"] == 0


def test_what_changes_keeps_its_name_and_counts_up(visitor, tenant, alice):
    now = timezone.now()
    row = plan(make_lead(tenant, first_name="Jane", owner=alice), alice, now, created_at=now - timedelta(hours=1))
    address = address_of(alice)
    (before,) = events(visitor, address).values()
    with inside(tenant.pk):
        Activity.objects.filter(pk=row.pk).update(due_at=now + timedelta(days=1), updated_at=now + timedelta(minutes=2))
    (after,) = events(visitor, address).values()
    assert (before["uid"], before["dtstart"].dt + timedelta(days=1)) == (after["uid"], after["dtstart"].dt)
    assert after["sequence"] > before["sequence"]
    assert after["last-modified"].dt > before["last-modified"].dt


def test_open_and_recent_ones_of_that_person_on_leads_in_their_sight(visitor, tenant, alice, mallory):
    now = timezone.now()
    rep = make_user(tenant, role="sales_rep")
    lead = make_lead(tenant, first_name="Jane", owner=rep)
    plan(lead, rep, now)
    plan(lead, rep, now - timedelta(days=2), status=ActivityStatus.COMPLETED, activity_type=ActivityType.TASK)
    plan(lead, rep, now, status=ActivityStatus.CANCELLED, activity_type=ActivityType.SMS)
    plan(lead, rep, now - timedelta(days=31), activity_type=ActivityType.EMAIL)
    plan(lead, rep, now + timedelta(days=366), activity_type=ActivityType.EMAIL)
    plan(lead, alice, now, activity_type=ActivityType.MEETING)
    plan(make_lead(tenant, first_name="Bin", owner=rep, deleted_at=now), rep, now)
    plan(make_lead(mallory.tenant, first_name="Vic"), mallory, now)
    given = make_lead(tenant, first_name="Given", owner=rep)
    plan(given, rep, now)
    address = address_of(rep)
    assert set(events(visitor, address)) == {"Call: Jane", "✓ Task: Jane", "Call: Given"}
    with inside(tenant.pk):
        type(given).objects.filter(pk=given.pk).update(owner=alice)
        Activity.objects.filter(lead=given).update(user=rep)
    assert set(events(visitor, address)) == {"Call: Jane", "✓ Task: Jane"}


def test_of_more_than_fit_the_open_ones_come_first_then_what_was_done_last(visitor, tenant, alice, monkeypatch):
    monkeypatch.setattr("activities.services.feeds.MOST", 3)
    now = timezone.now()
    for days in (9, 8, 7):
        plan(make_lead(tenant, first_name=f"Done{days}", owner=alice), alice, now - timedelta(days=days), status=ActivityStatus.COMPLETED)
    for days in (1, 2):
        plan(make_lead(tenant, first_name=f"Open{days}", owner=alice), alice, now + timedelta(days=days))
    assert list(events(visitor, address_of(alice))) == ["✓ Call: Done7", "Call: Open1", "Call: Open2"]


def test_an_unchanged_calendar_is_not_sent_again(visitor, tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    plan(lead, alice, timezone.now())
    address = address_of(alice)
    first = visitor.get(address)
    again = visitor.get(address, HTTP_IF_NONE_MATCH=f"W/{first.headers['ETag']}")
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert visitor.get(address).content == first.content
    with inside(tenant.pk):
        type(lead).objects.filter(pk=lead.pk).update(first_name="Joan")
    assert visitor.get(address, HTTP_IF_NONE_MATCH=first.headers["ETag"]).status_code == 200


def test_an_address_that_was_replaced_ended_or_is_made_up_leads_nowhere(visitor, pages, tenant, alice, mallory):
    first = address_of(alice)
    second = address_of(alice)
    secret = second.removeprefix(f"/calendar/feed/{tenant.pk}-").removesuffix(".ics")
    with inside(tenant.pk):
        kept = CalendarFeed.objects.get(user=alice)
        assert secret not in kept.secret_hash
    strange = (
        "x",
        "-",
        f"{tenant.pk}-",
        f"{mallory.tenant_id}-{secret}",
        f"{10**9}-{secret}",
        f"{10**30}-{secret}",
        f"²-{secret}",
        f"{tenant.pk}-\x00",
    )
    assert visitor.get(second).status_code == 200
    assert [visitor.get(path).status_code for path in (first, *(f"/calendar/feed/{part}.ics" for part in strange))] == [404] * 9
    assert visitor.post(second).status_code == 405
    pages(alice).post("/settings/calendar", {"do": "revoke"})
    assert visitor.get(second).status_code == 404


def test_who_is_gone_and_who_may_see_nothing_has_no_calendar(visitor, tenant, alice):
    plan(make_lead(tenant, first_name="Jane", owner=alice), alice, timezone.now())
    address = address_of(alice)
    with inside(tenant.pk):
        alice.role.capabilities = []
        alice.role.save()
    assert events(visitor, address) == {}
    with inside(tenant.pk):
        User.objects.filter(pk=alice.pk).update(is_active=False)
    assert visitor.get(address).status_code == 404


@pytest.mark.usefixtures("rate_limits")
def test_who_asks_too_often_is_told_to_wait(visitor, alice, monkeypatch):
    monkeypatch.setattr("activities.services.feeds.CALLS_AN_HOUR", 2)
    address = address_of(alice)
    answers = [visitor.get(address) for _number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    assert CALLS_AN_HOUR == 120


def test_the_settings_page_shows_the_address_once_and_when_it_was_read(pages, visitor, alice):
    web = pages(alice)
    assert "You have no address yet" in web.get("/settings/calendar").content.decode()
    answer = web.post("/settings/calendar", {"do": "make"})
    page = answer.content.decode()
    start = page.index("/calendar/feed/")
    address = page[start : page.index(".ics", start) + 4]
    assert answer.headers["Cache-Control"] == "no-store"
    page = web.get("/settings/calendar").content.decode()
    assert address not in page
    assert "has not been read yet" in page
    assert visitor.get(address).status_code == 200
    assert "and last read" in web.get("/settings/calendar").content.decode()


@pytest.mark.parametrize("number", [1, 3])
def test_the_number_of_queries_does_not_grow(visitor, tenant, alice, number, django_assert_max_num_queries):
    for _number in range(number):
        plan(make_lead(tenant, owner=alice), alice, datetime.now(UTC))
    address = address_of(alice)
    with django_assert_max_num_queries(14):
        visitor.get(address)
