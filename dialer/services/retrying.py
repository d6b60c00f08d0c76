"""What follows a call: another one, and when, or the end of the entry and how it is called. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from crm.worktime import WorkingTime
from dialer.enums import RETRYABLE, CallResult, Disposition, WaitReason
from dialer.models import RetryRule
from dialer.services.zones import common_opening

# The parts of a day, by the hour at which each begins, where somebody is called.
PARTS = (0, 12, 17)
# How far ahead another part of the day is looked for.
_PARTS_AHEAD = 3 * 14
# Before an order that was not taken is given anew.
NOT_PLACED_DELAY = timedelta(minutes=1)

_ENDS = {
    CallResult.COMPLETED: Disposition.COMPLETED,
    CallResult.NOT_INTERESTED: Disposition.NOT_INTERESTED,
    CallResult.HUNG_UP: Disposition.HUNG_UP,
    CallResult.WRONG_NUMBER: Disposition.WRONG_NUMBER,
    CallResult.DO_NOT_CALL: Disposition.DO_NOT_CALL,
    CallResult.FAILED: Disposition.FAILED,
}
# What an agent's own two settings do not call again after: a rule of its own must say so.
_ONLY_BY_RULE = (CallResult.HUNG_UP, CallResult.WRONG_NUMBER)


@dataclass(frozen=True, kw_only=True)
class Retry:
    at: datetime
    waits_for: WaitReason = WaitReason.RETRY


@dataclass(frozen=True, kw_only=True)
class Stop:
    disposition: Disposition


@dataclass(frozen=True, kw_only=True)
class Past:
    """What has been done with an entry, the call that is just over included."""

    attempts: int
    # How many of its calls had this result.
    same_result: int
    tried_hours: Collection[int] = ()
    callback_at: datetime | None = None


def after(
    *,
    result: CallResult,
    past: Past,
    rule: RetryRule | None,
    max_attempts: int,
    delay_minutes: int,
    now: datetime,
    times: Sequence[WorkingTime] = (),
    zone: ZoneInfo | None = None,
) -> Retry | Stop:
    """Say what follows. `times` are all hours in which it may be called, and `zone` that of who is called; only rules for another hour ask them.

    An agreed callback is kept even where the attempts are used up: somebody asked for it. A call that was not placed is not an attempt.
    """
    if result == CallResult.NOT_PLACED:
        return Retry(at=now + NOT_PLACED_DELAY)
    if result == CallResult.CALLBACK:
        return Retry(at=past.callback_at or now + timedelta(minutes=delay_minutes), waits_for=WaitReason.CALLBACK)
    end = Stop(disposition=_ENDS.get(result, Disposition.NO_ANSWER))
    if result not in RETRYABLE or (rule is None and result in _ONLY_BY_RULE):
        return end
    if rule is not None:
        end = Stop(disposition=Disposition(rule.disposition))
        delay_minutes = rule.delay_minutes
        if past.same_result > rule.most_tries:
            return end
    if past.attempts >= max_attempts:
        return end
    at = now + timedelta(minutes=delay_minutes)
    if rule is not None and rule.another_hour and zone is not None:
        at = untried_moment(at, tried_hours=past.tried_hours, times=times, zone=zone)
    return Retry(at=at)


def part_of(hour: int) -> int:
    """The part of the day an hour belongs to, by its number."""
    return max(number for number, start in enumerate(PARTS) if hour >= start)


def untried_moment(at: datetime, *, tried_hours: Collection[int], times: Sequence[WorkingTime], zone: ZoneInfo) -> datetime:
    """The first open moment from `at` on in a part of the day that was not tried; the first open one where all that open were."""
    tried = {part_of(hour) for hour in tried_hours}
    first = moment = common_opening(times, at)
    if first is None or moment is None:
        return at
    for _ in range(_PARTS_AHEAD):
        local = moment.astimezone(zone)
        part = part_of(local.hour)
        if part not in tried:
            return moment
        following = part + 1 < len(PARTS)
        day = local.date() if following else local.date() + timedelta(days=1)
        starts = datetime.combine(day, time(PARTS[part + 1] if following else PARTS[0]), tzinfo=zone)
        moment = common_opening(times, max(starts, moment))
        if moment is None:
            break
    return first
