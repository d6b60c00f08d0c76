"""In which time zones a number may lie, and when all that must be open at once is."""

from collections.abc import Sequence
from datetime import datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number, time_zones_for_number

from crm.tenancy.models import current_tenant
from crm.worktime import WorkingTime
from dialer.models import DialerSettings, QueueEntry

# Hours that have not met by then never do.
_MOST_STEPS = 64


@lru_cache(maxsize=100_000)
def zones_of(phone: str) -> tuple[ZoneInfo, ...]:
    """The zones that a number's own digits allow: of a city one, of a mobile or toll-free number perhaps many. Empty where they say nothing."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ()
    names: Sequence[str] = time_zones_for_number(number)
    if UNKNOWN_TIMEZONE in names:
        # A number that nobody holds still has a country.
        names = time_zones_for_geographical_number(number)
    return tuple(zone for name in names if name != UNKNOWN_TIMEZONE and (zone := zone_named(name)) is not None)


@lru_cache(maxsize=1000)
def zone_named(name: str) -> ZoneInfo | None:
    """A zone by its name, or None for what is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def zone_for(entry: QueueEntry) -> tuple[ZoneInfo, ...]:
    """The zones an entry may lie in: its own where one was given, else its number's, else the tenant's. The first stands for all."""
    return zones_for(entry.phone, entry.zone)


def zones_for(phone: str, zone: str = "") -> tuple[ZoneInfo, ...]:
    own = zone_named(zone) if zone else None
    return (own,) if own is not None else zones_of(phone) or (ZoneInfo(current_tenant().time_zone),)


def window_in(zone: ZoneInfo, settings: DialerSettings) -> WorkingTime:
    """The tenant's calling window as it is kept in a zone. Without days it is open on all of them."""
    days = settings.window_days or range(7)
    span = ((settings.window_start, settings.window_end or time(0)),)
    return WorkingTime(zone=zone, week=tuple(span if day in days else () for day in range(7)))


def common_opening(times: Sequence[WorkingTime], at: datetime) -> datetime | None:
    """The first moment from `at` on at which all of them are open; None where they never meet."""
    moment = at
    for _ in range(_MOST_STEPS):
        latest = moment
        for hours in times:
            opens = hours.opens_at(latest)
            if opens is None:
                return None
            latest = max(opens, latest)
        if latest == moment:
            return moment
        moment = latest
    return None
