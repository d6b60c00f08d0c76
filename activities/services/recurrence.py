"""When a recurring activity comes next: a small part of RFC 5545's rules, reckoned in local time, so that nine o'clock stays nine o'clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from crm.errors import InvalidInput
from crm.identity.hours import zone_of
from crm.identity.models import User
from crm.tenancy.models import current_tenant

_KNOWN = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY"}
# What `pinned` adds; given again, it is made anew.
_PINNED = {"BYHOUR", "BYMINUTE", "BYSETPOS"}
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY"}
# The next one is looked for so far ahead: rules such as "every 7th day, if a Monday" may have none in all eternity.
HORIZON = timedelta(days=3660)
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def checked_rule(text: str) -> str:
    """A rule in its usual form, or InvalidInput at `recurrence`. Daily, weekly or monthly, with an end or without."""
    text = text.strip().upper().removeprefix("RRULE:")
    if not text:
        return ""
    parts = {name: value for name, _, value in (part.partition("=") for part in text.split(";") if part) if name not in _PINNED}
    if len(text) > 150 or set(parts) - _KNOWN or parts.get("FREQ") not in _FREQUENCIES:
        raise InvalidInput({"recurrence": ["Must be a daily, weekly or monthly rule, such as FREQ=WEEKLY;BYDAY=MO."]})
    for name, most in (("INTERVAL", 366), ("COUNT", 1000)):
        if name in parts and not (parts[name].isascii() and parts[name].isdigit() and 1 <= int(parts[name]) <= most):
            raise InvalidInput({"recurrence": [f"{name} must be from 1 to {most}."]})
    days = parts.get("BYMONTHDAY", "1").split(",")
    if not all(day.lstrip("-").isascii() and day.lstrip("-").isdigit() and 1 <= int(day.lstrip("-")) <= 31 for day in days):
        raise InvalidInput({"recurrence": ["BYMONTHDAY must be from 1 to 31."]})
    try:
        rrulestr(_joined(parts, without=("UNTIL",)), dtstart=datetime(2024, 1, 1, 9))
        if "UNTIL" in parts:
            _end(parts["UNTIL"])
    except (ValueError, TypeError, IndexError, AttributeError, KeyError):
        raise InvalidInput({"recurrence": ["This rule cannot be read."]}) from None
    return _joined(parts)


def pinned(rule: str, *, due_at: datetime, zone: ZoneInfo) -> str:
    """A rule that holds the local time and day of its first occurrence, so that putting off one does not move those after it.

    The 31st of a month without one is its last day.
    """
    if not rule:
        return ""
    parts = _read(rule)
    local = due_at.astimezone(zone)
    if parts["FREQ"] == "WEEKLY":
        parts.setdefault("BYDAY", _DAYS[local.weekday()])
    if parts["FREQ"] == "MONTHLY" and not {"BYDAY", "BYMONTHDAY"} & set(parts):
        parts["BYMONTHDAY"] = ",".join(str(day) for day in range(28, local.day + 1)) if local.day > 28 else str(local.day)
        if local.day > 28:
            parts["BYSETPOS"] = "-1"
    parts["BYHOUR"], parts["BYMINUTE"] = str(local.hour), str(local.minute)
    return _joined(parts)


def starting_rule(text: str, *, due_at: datetime, zone: ZoneInfo) -> str:
    """The pinned rule of what is first due then. Raises InvalidInput at `recurrence`, also where nothing would come after it."""
    rule = pinned(checked_rule(text), due_at=due_at, zone=zone)
    if rule and next_occurrence(rule, due_at=due_at, zone=zone) is None:
        raise InvalidInput({"recurrence": ["From that day on, this rule has no second time within ten years."]})
    return rule


def zone_for(user: User | None) -> ZoneInfo:
    """The person's zone, or the tenant's where there is no person."""
    return zone_of(user) if user is not None else ZoneInfo(current_tenant().time_zone)


def next_occurrence(rule: str, *, due_at: datetime, zone: ZoneInfo) -> tuple[datetime, str] | None:
    """The moment after this one, in UTC, and the rule for what comes after it. None when the rule is over.

    A local time that a change of the clocks leaves out comes an hour later on that day alone; of one that comes twice, the first counts.
    """
    parts = _read(rule)
    count = int(parts.get("COUNT", "0"))
    if count == 1:
        return None
    local = due_at.astimezone(zone).replace(tzinfo=None)
    bounded = f"{_joined(parts, without=('COUNT', 'UNTIL'))};UNTIL={local + HORIZON:%Y%m%dT%H%M%S}"
    following = rrulestr(bounded, dtstart=local.replace(second=0, microsecond=0)).after(local)
    if following is None:
        return None
    at = following.replace(tzinfo=zone).astimezone(UTC)
    if at <= due_at:
        return None
    if "UNTIL" in parts:
        end, is_day, is_utc = _end(parts["UNTIL"])
        if (is_day and following.date() > end.date()) or (not is_day and at > end.replace(tzinfo=UTC if is_utc else zone)):
            return None
    if count:
        parts["COUNT"] = str(count - 1)
    return at, _joined(parts)


def _read(rule: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in rule.split(";"))}


def _joined(parts: dict[str, str], *, without: tuple[str, ...] = ()) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items() if name not in without)


def _end(text: str) -> tuple[datetime, bool, bool]:
    """An end's moment, whether it means that whole local day, and whether it is in UTC."""
    is_day = "T" not in text
    return datetime.strptime(text.rstrip("Z"), "%Y%m%d" if is_day else "%Y%m%dT%H%M%S"), is_day, text.endswith("Z")
