"""Working time: against a count of minutes, across changes of the clocks."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.worktime import ROUND_THE_CLOCK, WorkingTime, read_week

ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
# Around the days when European, American and Australian clocks change.
MOMENTS = st.one_of(
    st.datetimes(datetime(2025, 3, 7), datetime(2025, 3, 12)),
    st.datetimes(datetime(2025, 3, 28), datetime(2025, 4, 8)),
    st.datetimes(datetime(2025, 10, 24), datetime(2025, 11, 4)),
).map(lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC))
OFFICE = read_week({str(day): [["09:00", "12:30"], ["13:00", "17:00"]] for day in range(5)})
NIGHTS = read_week({str(day): [["00:00", "02:30"], ["22:00", "24:00"]] for day in range(7)})


def working(zone: str, week=OFFICE, holidays=()) -> WorkingTime:
    return WorkingTime(zone=ZoneInfo(zone), week=week, holidays=frozenset(holidays))


def open_by_the_clock(hours: WorkingTime, at: datetime) -> bool:
    """The obvious answer for a moment whose wall clock time is told once that day."""
    local = at.astimezone(hours.zone)
    clock = local.time()
    return local.date() not in hours.holidays and any(
        start <= clock and (clock < end or end == time(0)) for start, end in hours.week[local.weekday()]
    )


@given(zone=st.sampled_from(ZONES), start=MOMENTS, minutes=st.integers(0, 3 * 24 * 60), week=st.sampled_from([OFFICE, ROUND_THE_CLOCK]))
def test_working_time_between_two_moments_is_the_count_of_open_minutes(zone, start, minutes, week):
    hours = working(zone, week, holidays=[date(2025, 3, 31), date(2025, 10, 27)])
    counted = sum(open_by_the_clock(hours, start + timedelta(minutes=number)) for number in range(minutes))
    assert hours.between(start, start + timedelta(minutes=minutes)) == timedelta(minutes=counted)


@given(zone=st.sampled_from(ZONES), start=MOMENTS, minutes=st.integers(1, 3000), week=st.sampled_from([OFFICE, NIGHTS, ROUND_THE_CLOCK]))
def test_later_is_where_so_much_has_passed_and_not_a_minute_sooner(zone, start, minutes, week):
    hours = working(zone, week)
    end = hours.later(start, timedelta(minutes=minutes))
    assert end is not None
    assert hours.between(start, end) == timedelta(minutes=minutes)
    assert hours.between(start, end - timedelta(minutes=1)) == timedelta(minutes=minutes - 1)


@given(zone=st.sampled_from(ZONES), at=MOMENTS, week=st.sampled_from([OFFICE, NIGHTS]))
def test_it_opens_at_the_first_open_moment(zone, at, week):
    hours = working(zone, week)
    opens = hours.opens_at(at)
    assert opens is not None
    assert hours.is_open(opens)
    assert hours.between(at, opens) == timedelta()
    assert (opens == at) == hours.is_open(at)


def test_an_hour_of_work_begun_on_friday_evening_ends_on_monday():
    hours = working("Europe/London")
    friday = datetime(2025, 6, 6, 16, 30, tzinfo=ZoneInfo("Europe/London"))
    assert hours.later(friday, timedelta(hours=1)) == datetime(2025, 6, 9, 8, 30, tzinfo=UTC)


def test_a_week_without_hours_never_opens():
    closed = working("UTC", ((),) * 7)
    now = datetime(2025, 6, 6, tzinfo=UTC)
    assert (closed.is_open(now), closed.opens_at(now), closed.later(now, timedelta(minutes=1))) == (False, None, None)
    assert closed.between(now, now + timedelta(days=30)) == timedelta()


@pytest.mark.parametrize(
    "stored",
    [
        {"7": ["09:00", "17:00"]},
        {"0": ["17:00", "09:00"]},
        {"0": [["09:00", "12:00"], ["11:00", "17:00"]]},
        {"0": ["nine", "five"]},
        {"0": ["09:00"]},
    ],
)
def test_hours_that_cannot_be_are_refused(stored):
    with pytest.raises(ValueError, match=r"span|isoformat|Days"):
        read_week(stored)


def test_stored_hours_are_read_with_one_span_or_several():
    week = read_week({"0": ["09:00", "17:00"], "1": [["13:00", "24:00"], ["08:00", "12:00"]]})
    assert week[0] == ((time(9), time(17)),)
    assert week[1] == ((time(8), time(12)), (time(13), time(0)))
    assert week[2] == ()
    assert read_week({}) == read_week(None) == ROUND_THE_CLOCK
