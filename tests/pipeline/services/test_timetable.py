"""A timetable answers what the working time itself answers, only sooner."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.worktime import WorkingTime
from pipeline.services.timetable import Timetable

_DAY = ((time(9), time(12)), (time(13), time(17, 30)))
_NIGHT = ((time(22), time(0)),)
HOURS = (
    WorkingTime(zone=ZoneInfo("UTC")),
    WorkingTime(zone=ZoneInfo("Europe/Berlin"), holidays=frozenset({date(2024, 12, 25), date(2025, 1, 1)})),
    WorkingTime(zone=ZoneInfo("Europe/Berlin"), week=(_DAY,) * 5 + ((), ()), holidays=frozenset({date(2024, 6, 13)})),
    WorkingTime(zone=ZoneInfo("America/New_York"), week=(_NIGHT,) * 3 + ((),) * 4),
    WorkingTime(zone=ZoneInfo("Asia/Kathmandu"), week=((),) * 6 + (((time(10), time(11)),),)),
)
moments = st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2027, 1, 1), timezones=st.just(UTC))
spans = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=200)) | st.timedeltas(timedelta(), timedelta(hours=20))


@pytest.mark.parametrize("hours", HOURS)
@settings(max_examples=60, deadline=None)
@given(starts=st.lists(st.tuples(moments, spans), min_size=1, max_size=4))
def test_timetable_answers_as_working_time_does_in_any_order(hours, starts):
    table = Timetable(hours)

    assert [table.later(at, span) for at, span in starts] == [hours.later(at, span) for at, span in starts]
    assert [table.between(at, at + span) for at, span in starts] == [hours.between(at, at + span) for at, span in starts]


def test_timetable_of_hours_that_never_open_has_no_later_moment():
    table = Timetable(WorkingTime(zone=ZoneInfo("UTC"), week=((),) * 7))

    assert table.later(datetime(2024, 6, 12, tzinfo=UTC), timedelta(minutes=1)) is None
    assert table.between(datetime(2024, 6, 12, tzinfo=UTC), datetime(2024, 7, 12, tzinfo=UTC)) == timedelta()


def test_a_span_that_a_change_of_the_clocks_swallows_does_not_count():
    # At two the clocks went on to three.
    table = Timetable(WorkingTime(zone=ZoneInfo("Europe/Berlin"), week=((),) * 6 + (((time(2), time(3)), (time(3), time(4))),)))

    assert table.later(datetime(2024, 3, 31, tzinfo=UTC), timedelta(hours=1)) == datetime(2024, 3, 31, 2, tzinfo=UTC)
