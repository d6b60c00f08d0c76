"""The times that people put things off to, in words: reckoned in the person's own zone, at nine where a day is meant."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

MORNING, EVENING = time(9), time(18)
# Code: (short, long).
WORDS: Mapping[str, tuple[object, object]] = {
    "1h": (_("+1h"), _("In an hour")),
    "evening": (_("Evening"), _("This evening")),
    "1d": (_("+1d"), _("Tomorrow morning")),
    "3d": (_("+3d"), _("In 3 days")),
    "monday": (_("Monday"), _("Next Monday")),
    "7d": (_("+1w"), _("In a week")),
}
# What a row of the queue has room for.
ON_A_ROW = ("1d", "3d", "7d")


def moment_of(word: str, *, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When a word means, in UTC, or None where there is no such word. Nine o'clock is nine by the clock, whatever it does at night."""
    local = now.astimezone(zone)
    if word == "1h":
        return now.astimezone(UTC) + timedelta(hours=1)
    if word == "evening":
        return _at(local, 0 if local.time() < EVENING else 1, EVENING)
    days = {"1d": 1, "3d": 3, "7d": 7, "monday": 7 - local.weekday()}.get(word)
    return _at(local, days, MORNING) if days is not None else None


def _at(local: datetime, days: int, at: time) -> datetime:
    return datetime.combine(local.date() + timedelta(days=days), at, tzinfo=local.tzinfo).astimezone(UTC)
