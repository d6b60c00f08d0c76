"""Words for times, for API texts. Pages use the template filters, which follow the user's language."""

from datetime import datetime

_STEPS = ((31_536_000, "year"), (2_592_000, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def time_ago(moment: datetime, *, now: datetime) -> str:
    """`2 days ago`, `in 3 hours`, `just now` (document 0's `time_ago`)."""
    seconds = int((now - moment).total_seconds())
    for size, unit in _STEPS:
        number = abs(seconds) // size
        if number:
            words = f"{number} {unit}{'s' if number > 1 else ''}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"
