"""The fields of a week's working hours, for forms of whoever has some."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

DAYS = [_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday")]
USUAL = ("09:00", "18:00")


class TimeInput(forms.TimeInput):
    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class WeekForm(forms.Form):
    """One span a day: whether it is open, from when, until when."""

    def add_week(self, hours: Mapping[str, Any]) -> None:
        """Add the fields, showing stored hours."""
        for day, label in enumerate(DAYS):
            opens, closes = hours.get(str(day), USUAL)
            self.fields[f"open_{day}"] = forms.BooleanField(label=label, required=False, initial=str(day) in hours)
            self.fields[f"from_{day}"] = forms.TimeField(label=_("%s from") % label, required=False, widget=TimeInput(), initial=opens)
            self.fields[f"to_{day}"] = forms.TimeField(label=_("%s to") % label, required=False, widget=TimeInput(), initial=closes)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for day, label in enumerate(DAYS):
            opens, closes = data.get(f"from_{day}"), data.get(f"to_{day}")
            if data.get(f"open_{day}") and not (opens and closes and opens < closes):
                self.add_error(f"to_{day}", _("%s: give opening and closing time; closing must come after opening.") % label)
        return data

    def hours(self) -> dict[str, list[str]]:
        """As they are stored."""
        data = self.cleaned_data
        return {str(day): [f"{data[f'from_{day}']:%H:%M}", f"{data[f'to_{day}']:%H:%M}"] for day in range(7) if data[f"open_{day}"]}

    def days(self) -> list[dict[str, Any]]:
        """The fields of the week, a row a day."""
        return [
            {"label": label, "open": self[f"open_{day}"], "from": self[f"from_{day}"], "to": self[f"to_{day}"]}
            for day, label in enumerate(DAYS)
        ]
