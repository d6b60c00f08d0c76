"""What a person says of a call: the buttons, the time of a callback, and how the form is read."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activities.pages.composer import Moment
from activities.services.snoozing import WORDS, moment_of
from crm.errors import InvalidInput
from dialer.enums import BY_PERSON, CallResult

# When a callback may be agreed on, in words.
CALLBACK_WORDS = ("1h", "evening", "1d", "3d", "monday", "7d")
MOST_NOTES = 10_000
RESULT_ICONS = {
    CallResult.COMPLETED: "circle-check", CallResult.CALLBACK: "calendar-clock", CallResult.NOT_INTERESTED: "thumbs-down",
    CallResult.VOICEMAIL: "voicemail", CallResult.NO_ANSWER: "phone-missed", CallResult.BUSY: "phone-off",
    CallResult.HUNG_UP: "phone-off", CallResult.WRONG_NUMBER: "circle-x", CallResult.DO_NOT_CALL: "ban",
}  # fmt: skip


class CallbackForm(forms.Form):
    callback_at = forms.DateTimeField(label=_("Call back at"), widget=Moment())


def outcome_choices() -> dict[str, Any]:
    """The outcomes with the number key of each, and the times of a callback, for a template."""
    return {
        "outcomes": [
            {
                "value": result.value,
                "label": result.label,
                "key": str(number),
                "icon": RESULT_ICONS[result],
                "asks": result == CallResult.CALLBACK,
            }
            for number, result in enumerate(BY_PERSON, start=1)
        ],
        "callback_words": [(code, WORDS[code][1]) for code in CALLBACK_WORDS],
    }


def read_outcome(data: Any, now: datetime) -> dict[str, Any]:
    """What `record_outcome` is told, from a posted form. Choosing a time is saying that one calls back. Raises InvalidInput."""
    said = CallResult.CALLBACK.value if data.get("when") else data.get("result", "")
    if said not in CallResult.values:
        raise InvalidInput({"result": [str(_("Say what came of the call."))]})
    result = CallResult(said)
    return {
        "result": result,
        "notes": data.get("notes", "")[:MOST_NOTES],
        "callback_at": _callback_at(data, now) if result == CallResult.CALLBACK else None,
        "for_anyone": data.get("for_anyone") == "1",
    }


def _callback_at(data: Any, now: datetime) -> datetime:
    """The moment agreed on: a word, or a date and time in the person's zone."""
    zone = timezone.get_current_timezone()
    at = moment_of(data.get("when", ""), now=now, zone=zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC"))
    if at is not None:
        return at
    form = CallbackForm(data)
    if not form.is_valid():
        raise InvalidInput({"callback_at": [str(_("Say when to call back."))]})
    moment: datetime = form.cleaned_data["callback_at"]
    return moment
