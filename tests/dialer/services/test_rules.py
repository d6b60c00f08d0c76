"""The pure rules, held against their plain meaning: hours, windows, zones over changes of the clocks, delays, parts of the day."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.worktime import WorkingTime, read_week
from dialer.enums import RETRYABLE, CallResult, Disposition, WaitReason
from dialer.models import CallingAgent, DialerSettings, RetryRule
from dialer.services.limits import Candidate, Facts, verdict
from dialer.services.retrying import PARTS, Past, Retry, Stop, after, part_of, untried_moment
from dialer.services.summaries import result_of, summary_of
from dialer.services.zones import common_opening, window_in, zones_of

# Clocks that change north and south, by an hour and by half of one, and one that never does.
ZONES = [ZoneInfo(name) for name in ("America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata")]
# Around the days on which they change.
MOMENTS = st.one_of(
    *(
        st.datetimes(min_value=datetime(2025, month, 1), max_value=datetime(2025, month, 28)).map(lambda at: at.replace(tzinfo=UTC))
        for month in (3, 4, 10, 11)
    )
)
HOURS = st.dictionaries(
    st.integers(0, 6).map(str),
    st.tuples(st.integers(0, 12), st.integers(13, 23)).map(lambda pair: [f"{pair[0]:02}:00", f"{pair[1]:02}:30"]),
    min_size=1,
)


def _inside(at: datetime, zone: ZoneInfo, spans: dict[str, list[str]], holidays: frozenset[date] = frozenset()) -> bool:
    """The plain meaning: what the clock on the wall there says."""
    local = at.astimezone(zone)
    if local.date() in holidays or str(local.weekday()) not in spans:
        return False
    start, end = (time.fromisoformat(text) for text in spans[str(local.weekday())])
    return start <= local.time() < end


@settings(max_examples=300, deadline=None)
@given(
    at=MOMENTS,
    agents_zone=st.sampled_from(ZONES),
    zone=st.sampled_from(ZONES),
    spans=HOURS,
    start=st.integers(6, 11),
    end=st.integers(12, 22),
)
def test_nobody_is_called_outside_the_agents_hours_and_their_own_window(
    at: datetime, agents_zone: ZoneInfo, zone: ZoneInfo, spans: dict[str, list[str]], start: int, end: int
) -> None:
    kept = DialerSettings(window_start=time(start), window_end=time(end), window_days=[0, 1, 2, 3, 4])
    agent = CallingAgent(pk=1, name="a", is_active=True, kind="human")
    holidays = frozenset({date(2025, 10, 27)})
    hours = WorkingTime(zone=agents_zone, week=read_week(spans), holidays=holidays)
    facts = Facts(now=at, settings=kept, agents={1: agent}, hours={1: hours})
    window = {str(day): [f"{start:02}:00", f"{end:02}:00"] for day in range(5)}

    def lawful(moment: datetime) -> bool:
        return _inside(moment, agents_zone, spans, holidays) and _inside(moment, zone, window)

    found = verdict(Candidate(phone="+12125550100", zones=(zone,), agent_id=1), facts)
    assert found.may_call == lawful(at)
    if found.at is not None:
        assert found.at > at
        assert lawful(found.at)
        # Not a quarter of an hour earlier it would have been lawful already.
        step = at
        while step < min(found.at, at + timedelta(days=3)):
            assert not lawful(step)
            step += timedelta(minutes=15)


@settings(max_examples=100, deadline=None)
@given(at=MOMENTS, zones=st.lists(st.sampled_from(ZONES), min_size=2, max_size=3, unique=True))
def test_a_number_that_may_lie_in_several_zones_is_called_where_all_are_awake(at: datetime, zones: list[ZoneInfo]) -> None:
    kept = DialerSettings(window_start=time(8), window_end=time(21))
    windows = [window_in(zone, kept) for zone in zones]
    opens = common_opening(windows, at)
    if opens is not None:
        assert all(time(8) <= opens.astimezone(zone).time() < time(21) for zone in zones)
        assert opens >= at


def test_zones_of_numbers() -> None:
    assert [zone.key for zone in zones_of("+12125550123")] == ["America/New_York"]
    assert [zone.key for zone in zones_of("+14155550123")] == ["America/Los_Angeles"]
    assert "Europe/London" in {zone.key for zone in zones_of("+447700900123")}
    assert len(zones_of("+18005550123")) > 10
    assert zones_of("nonsense") == ()


def test_a_number_without_a_lawful_hour_is_told_apart() -> None:
    kept = DialerSettings(window_start=time(10), window_end=time(12))
    facts = Facts(now=datetime(2025, 6, 10, 15, tzinfo=UTC), settings=kept, agents={}, hours={})
    found = verdict(Candidate(phone="+18005550123", zones=zones_of("+18005550123")), facts)
    assert (found.may_call, found.reason) == (False, WaitReason.OUTSIDE_WINDOW)
    assert "choose its zone" in found.text


@settings(max_examples=300, deadline=None)
@given(
    result=st.sampled_from([result for result in CallResult if result != CallResult.CALLBACK]),
    attempts=st.integers(1, 12),
    same=st.integers(1, 12),
    most=st.integers(1, 10),
    delay=st.integers(0, 10_000),
    rule=st.one_of(
        st.none(),
        st.builds(
            RetryRule,
            delay_minutes=st.integers(0, 5000),
            most_tries=st.integers(0, 5),
            another_hour=st.booleans(),
            disposition=st.just("failed"),
        ),
    ),
    tried=st.sets(st.integers(0, 23)),
    zone=st.sampled_from(ZONES),
    now=MOMENTS,
)
def test_retries_never_come_early_nor_too_often(
    result: CallResult,
    attempts: int,
    same: int,
    most: int,
    delay: int,
    rule: RetryRule | None,
    tried: set[int],
    zone: ZoneInfo,
    now: datetime,
) -> None:
    times = (window_in(zone, DialerSettings(window_start=time(8), window_end=time(21))),)
    past = Past(attempts=attempts, same_result=same, tried_hours=tried)
    step = after(result=result, past=past, rule=rule, max_attempts=most, delay_minutes=delay, now=now, times=times, zone=zone)
    if result == CallResult.NOT_PLACED:
        assert isinstance(step, Retry)
        return
    if isinstance(step, Retry):
        assert result in RETRYABLE
        assert attempts < most
        assert rule is None or same <= rule.most_tries
        assert step.at >= now + timedelta(minutes=rule.delay_minutes if rule else delay)
    elif result in RETRYABLE and rule is not None:
        assert step.disposition == Disposition.FAILED
        assert attempts >= most or same > rule.most_tries


@settings(max_examples=200, deadline=None)
@given(at=MOMENTS, zone=st.sampled_from(ZONES), tried=st.sets(st.integers(8, 20)))
def test_another_time_of_day_is_one_that_was_not_tried(at: datetime, zone: ZoneInfo, tried: set[int]) -> None:
    times = (window_in(zone, DialerSettings(window_start=time(8), window_end=time(21))),)
    moment = untried_moment(at, tried_hours=tried, times=times, zone=zone)
    assert moment >= at
    assert times[0].is_open(moment)
    parts = {part_of(hour) for hour in tried}
    if len(parts) < len(PARTS):
        assert part_of(moment.astimezone(zone).hour) not in parts


def test_an_agreed_callback_is_kept_though_the_attempts_are_used_up() -> None:
    now = datetime(2025, 6, 10, 15, tzinfo=UTC)
    past = Past(attempts=3, same_result=1, callback_at=now + timedelta(days=1))
    step = after(result=CallResult.CALLBACK, past=past, rule=None, max_attempts=3, delay_minutes=60, now=now)
    assert step == Retry(at=now + timedelta(days=1), waits_for=WaitReason.CALLBACK)


@pytest.mark.parametrize(
    ("result", "disposition"),
    [("completed", "completed"), ("not_interested", "not_interested"), ("hung_up", "hung_up"), ("wrong_number", "wrong_number"), ("do_not_call", "do_not_call")],
)  # fmt: skip
def test_what_ends_an_entry_at_once(result: str, disposition: str) -> None:
    now = datetime(2025, 6, 10, 15, tzinfo=UTC)
    step = after(result=CallResult(result), past=Past(attempts=1, same_result=1), rule=None, max_attempts=5, delay_minutes=1, now=now)
    assert step == Stop(disposition=Disposition(disposition))


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ("Lead: Please don’t call me again.", CallResult.DO_NOT_CALL),
        ("Lead: Stop calling! I am not interested.", CallResult.DO_NOT_CALL),
        ("Lead: You have the wrong number.", CallResult.WRONG_NUMBER),
        ("Lead: No thanks.", CallResult.NOT_INTERESTED),
        ("Lead: I'm in a meeting, call me back tomorrow", CallResult.CALLBACK),
        ("Agent: Shall I never call again?\nLead: No, it is fine.", None),
        ("", None),
    ],
)
def test_what_words_give_away(said: str, result: CallResult | None) -> None:
    assert result_of(said) == result


def test_a_summary_is_what_they_said() -> None:
    assert summary_of("Agent: A very long speech indeed, all of it mine.\nLead: Hello?\nLead: We need ten licences.\nLead: Bye.") == (
        "We need ten licences.\nBye."
    )
