"""The calendar: which days, at which local time, whose, and what may be moved."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity
from activities.services.calendar import Span, bounds, days_of, entries_between, has_hour, moment_at, moved_to, step
from notifications.models import Notification
from tests.factories import acting, inside, make_lead, make_team, make_user

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo")
zones = st.sampled_from([ZoneInfo(name) for name in ZONES])
moments = st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2029, 1, 1)).map(lambda at: at.replace(tzinfo=UTC, microsecond=0))
dates = st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 12, 31))
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def web(pages, alice):
    return pages(alice)


def plan(lead, user, at, **fields):
    with inside(lead.tenant_id):
        status = fields.setdefault("status", ActivityStatus.PENDING)
        fields.setdefault("completed_at", at if status == ActivityStatus.COMPLETED else None)
        return Activity.objects.create(**{"lead": lead, "user": user, "activity_type": ActivityType.CALL, "due_at": at, **fields})


def text(answer):
    return answer.content.decode()


# --- days ---


@given(on=dates, first=st.integers(min_value=0, max_value=6))
def test_a_month_is_whole_weeks_from_the_first_weekday_and_holds_all_its_days(on, first):
    days = days_of(Span.MONTH, on, first_weekday=first)
    assert len(days) % 7 == 0
    assert days[0].weekday() == first
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    inside_month = [day for day in days if (day.year, day.month) == (on.year, on.month)]
    assert (inside_month[0].day, (inside_month[-1] + timedelta(days=1)).day) == (1, 1)
    assert (days[6].month, days[-7].month) == (on.month, on.month)
    assert on in days_of(Span.WEEK, on, first_weekday=first)
    assert len(days_of(Span.WEEK, on, first_weekday=first)) == 7


@given(on=dates)
def test_a_step_forth_is_the_next_month_and_a_step_back_the_one_before(on):
    forth, back = step(Span.MONTH, on, 1), step(Span.MONTH, on, -1)
    assert forth.year * 12 + forth.month == on.year * 12 + on.month + 1
    assert back.year * 12 + back.month == on.year * 12 + on.month - 1
    assert forth.day == on.day or (forth + timedelta(days=1)).day == 1
    assert (step(Span.WEEK, on, 1) - on, step(Span.DAY, on, -1) - on) == (timedelta(days=7), timedelta(days=-1))


@given(at=moments, zone=zones)
def test_every_moment_stands_on_exactly_one_day_whatever_the_clocks_do(at, zone):
    day = at.astimezone(zone).date()
    around = [day + timedelta(days=number) for number in (-1, 0, 1)]
    holding = [item for item in around if bounds([item], zone)[0] <= at < bounds([item], zone)[1]]
    assert holding == [day]
    assert has_hour(day, at.astimezone(zone).hour, zone)


@given(
    at=moments,
    zone=zones,
    day=st.dates(min_value=date(2023, 1, 1), max_value=date(2028, 12, 31)),
    hour=st.none() | st.integers(min_value=0, max_value=23),
)
def test_what_is_dragged_lands_where_it_was_dropped(at, zone, day, hour):
    before, after = at.astimezone(zone), moved_to(at, day=day, hour=hour, zone=zone).astimezone(zone)
    wanted = before.hour if hour is None else hour
    if has_hour(day, wanted, zone):
        assert (after.date(), after.hour) == (day, wanted)
        # Lord Howe's half hour may be left out within an hour that is there.
        if zone.key != "Australia/Lord_Howe":
            assert (after.minute, after.second) == ((before.minute, before.second) if wanted == before.hour else (0, 0))
    else:
        assert timedelta() < after.replace(tzinfo=None) - datetime.combine(day, time(wanted)) < timedelta(hours=2)
    if (day, wanted) == (before.date(), before.hour):
        assert after == before


def test_an_hour_that_the_clocks_leave_out_comes_an_hour_later_and_one_that_comes_twice_counts_once():
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    assert not has_hour(spring, 2, BERLIN)
    assert moment_at(spring, time(2, 30), BERLIN).astimezone(BERLIN).time() == time(3, 30)
    assert moment_at(autumn, time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    start, end = bounds([spring], BERLIN)
    assert end - start == timedelta(hours=23)
    assert moved_to(datetime(2026, 3, 28, 8, 45, tzinfo=UTC), day=spring, hour=None, zone=BERLIN) == datetime(
        2026, 3, 29, 7, 45, tzinfo=UTC
    )


# --- whose, and what ---


def entries(user, *people, at, **bounds_of):
    with acting(user) as by:
        found = entries_between(
            start=at - timedelta(days=1), end=at + timedelta(days=1), user_ids=[person.pk for person in people], actor=by, **bounds_of
        )
    return [(entry.user_id, entry.lead_name, entry.text) for entry in found]


def test_a_rep_sees_of_others_what_hangs_on_leads_in_their_sight_and_of_their_own_everything(tenant, alice):
    now = timezone.now()
    rep, other = make_user(tenant, role="sales_rep"), make_user(tenant, role="sales_rep")
    mine, theirs, nobodys, gone = (
        make_lead(tenant, first_name=name, owner=owner, deleted_at=deleted)
        for name, owner, deleted in (("Mine", rep, None), ("Theirs", other, None), ("Nobodys", None, None), ("Gone", rep, now))
    )
    plan(mine, rep, now, description="a")
    plan(theirs, rep, now + timedelta(minutes=1), description="b")
    plan(theirs, other, now + timedelta(minutes=2), description="c")
    plan(nobodys, other, now + timedelta(minutes=3), description="d")
    plan(gone, rep, now, description="e")
    assert entries(rep, rep, other, at=now) == [(rep.pk, "Mine", "a"), (rep.pk, "", "b"), (other.pk, "Nobodys", "d")]
    assert entries(alice, rep, other, at=now) == [
        (rep.pk, "Mine", "a"), (rep.pk, "Theirs", "b"), (other.pk, "Theirs", "c"), (other.pk, "Nobodys", "d"),
    ]  # fmt: skip


def test_open_and_done_stand_by_time_and_given_up_not_at_all_bounded(tenant, alice):
    now = timezone.now()
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    for number, status in enumerate((ActivityStatus.PENDING, ActivityStatus.COMPLETED, ActivityStatus.CANCELLED, ActivityStatus.PENDING)):
        plan(lead, alice, now + timedelta(minutes=number), status=status, description=str(number))
    assert [entry[2] for entry in entries(alice, alice, at=now)] == ["0", "1", "3"]
    assert [entry[2] for entry in entries(alice, alice, at=now, most=2)] == ["0", "1"]


def test_the_calendar_shows_nothing_of_the_tenant_next_door(tenant, alice, mallory, web):
    plan(make_lead(mallory.tenant, first_name="Vic"), mallory, timezone.now())
    assert web.get(f"/calendar?whose={mallory.pk}").status_code == 404
    assert "Vic" not in text(web.get("/calendar"))


# --- the page ---


@time_machine.travel("2026-03-28T10:00:00Z", tick=False)
@pytest.mark.parametrize("view", ["month", "week", "day"])
def test_the_address_holds_view_and_day_and_times_are_the_readers_own(pages, tenant, view):
    alice = make_user(tenant, time_zone="Europe/Berlin")
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    row = plan(lead, alice, datetime(2026, 3, 29, 7, 0, tzinfo=UTC), activity_type=ActivityType.MEETING, duration=90, description="Demo")
    page = text(pages(alice).get(f"/calendar?view={view}&on=2026-03-29"))
    assert '<time class="cal-time" datetime="2026-03-29T09:00:00+02:00">' in page
    assert f'href="/leads/{lead.pk}#open-{row.pk}"' in page
    assert f'data-move-url="/activities/{row.pk}/move?next=' in page
    assert (
        page.count('9:00\u00a0AM<span class="cal-until">–10:30\u00a0AM</span></time>') == 2
    )  # in the grid and in the list of narrow screens
    assert f"view={view}&amp;on={'2026-04-29' if view == 'month' else '2026-04-05' if view == 'week' else '2026-03-30'}" in page


def test_what_is_past_or_done_says_so_and_what_is_done_cannot_be_moved(web, tenant, alice):
    now = timezone.now()
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    plan(lead, alice, now - timedelta(minutes=1))
    done = plan(lead, alice, now, status=ActivityStatus.COMPLETED)
    page = text(web.get("/calendar?view=day"))
    assert "Call, Overdue:" in page
    assert "Call, Done:" in page
    assert f"/activities/{done.pk}/move" not in page


def test_a_day_that_holds_more_says_how_much_more(web, tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    for _number in range(7):
        plan(lead, alice, timezone.now())
    page = text(web.get("/calendar"))
    assert page.count('class="cal-more"') == 2  # in the grid and in the list of narrow screens
    assert "3 more" in page
    assert "Nothing here" not in page
    assert text(web.get("/calendar?view=day")).count("data-cal-entry") == 14


def test_an_empty_calendar_says_what_to_do_and_a_strange_address_shows_this_month(web):
    assert "Nothing here" in text(web.get("/calendar"))
    assert web.get("/calendar?view=year&on=soon").status_code == 200
    assert web.get("/calendar?on=0001-01-01").status_code == 200
    assert web.get("/calendar?whose=team-99999").status_code == 404


def test_a_manager_looks_at_a_colleague_and_a_team_and_a_rep_at_their_own_teams(pages, tenant, alice):
    rep = make_user(tenant, role="sales_rep", first_name="Rita", last_name="Rep")
    team, other = make_team(tenant, rep, name="North"), make_team(tenant, name="South")
    lead = make_lead(tenant, first_name="Jane", owner=rep)
    plan(lead, rep, timezone.now())
    web = pages(alice)
    assert "Jane" not in text(web.get("/calendar"))
    assert "Jane" in text(web.get(f"/calendar?whose={rep.pk}"))
    assert "Jane" in text(web.get(f"/calendar?whose=team-{team.pk}"))
    assert web.get(f"/calendar?whose=team-{other.pk}").status_code == 200
    own = pages(rep)
    assert own.get(f"/calendar?whose=team-{team.pk}").status_code == 200
    assert own.get(f"/calendar?whose=team-{other.pk}").status_code == 404


def test_weeks_begin_as_in_the_tenants_country(web, tenant):
    week = "/calendar?view=week&on=2026-11-25"
    assert 'data-cal-day="2026-11-22"' in text(web.get(week))
    tenant.region = "DE"
    tenant.save()
    page = text(web.get(week))
    assert 'data-cal-day="2026-11-22"' not in page
    assert 'data-cal-day="2026-11-29"' in page


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("view", ["month", "week", "day"])
def test_the_number_of_queries_does_not_grow(web, tenant, alice, number, view, django_assert_max_num_queries):
    for _number in range(number):
        plan(make_lead(tenant, owner=alice), alice, timezone.now())
        plan(make_lead(tenant, owner=alice), alice, timezone.now(), status=ActivityStatus.COMPLETED)
    with django_assert_max_num_queries(16):
        web.get(f"/calendar?view={view}")


# --- moving ---


def test_dragging_reschedules_and_answers_the_grid_with_a_way_back(web, tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    at = timezone.now().replace(hour=9, minute=30, second=0, microsecond=0) + timedelta(days=2)
    row = plan(lead, alice, at)
    to = (at + timedelta(days=1)).date()
    answer = web.post(f"/activities/{row.pk}/move?next=/calendar", {"day": to.isoformat()}, follow=True, **HTMX)
    assert "<html" not in text(answer)
    assert f"/activities/{row.pk}/reopen" in text(answer)
    with inside(tenant.pk):
        row.refresh_from_db()
        assert row.due_at == at + timedelta(days=1)
    web.post(f"/activities/{row.pk}/move", {"day": to.isoformat(), "hour": "14"})
    with inside(tenant.pk):
        row.refresh_from_db()
        assert row.due_at == (at + timedelta(days=1)).replace(hour=14, minute=0)


def test_the_form_reschedules_without_scripts_and_refuses_nonsense(web, tenant, alice):
    lead = make_lead(tenant, first_name="Jane", owner=alice)
    at = timezone.now().replace(second=0, microsecond=0) + timedelta(days=2)
    row = plan(lead, alice, at)
    form = text(web.get(f"/activities/{row.pk}/move?next=/calendar"))
    assert f'value="{at:%Y-%m-%dT%H:%M}"' in form
    assert 'name="next" value="/calendar"' in form
    assert "<dialog" in text(web.get(f"/activities/{row.pk}/move", **HTMX))
    new = at + timedelta(days=3)
    assert web.post(f"/activities/{row.pk}/move", {"at": f"{new:%Y-%m-%dT%H:%M}", "next": "/calendar"}).headers["Location"] == "/calendar"
    for nonsense in ({}, {"at": "soon"}, {"day": "2026-02-31"}, {"day": "2026-02-03", "hour": "x"}, {"at": "9999-12-31T23:59"}):
        web.post(f"/activities/{row.pk}/move", nonsense)
    with inside(tenant.pk):
        row.refresh_from_db()
        assert row.due_at == new


def test_who_may_not_change_neither_drags_nor_posts(pages, tenant):
    support = make_user(tenant, role="support")
    row = plan(make_lead(tenant, first_name="Jane"), support, timezone.now())
    page = text(pages(support).get("/calendar"))
    assert "Jane" in page
    assert "data-cal-entry" not in page
    assert pages(support).post(f"/activities/{row.pk}/move", {"day": "2026-12-01"}).status_code == 403
    with inside(tenant.pk):
        assert not Notification.objects.exists()
