"""Working hours of teams and people, and the days on which nobody works."""

import zoneinfo
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.identity.models import Holiday, Team, User

CHANGE = "identity.change_team"


class HolidayKnown(DomainError):
    code = "HOLIDAY_KNOWN"


def set_hours(*, owner: Team | User, hours: dict[str, list[str]], time_zone: str | None = None, by: Actor) -> None:
    """Give a team or a person hours of their own; none: they keep the company's again. The zone stays where it is not named.

    Raises InvalidInput.
    """
    by.require(CHANGE)
    problems = hours_problems(hours)
    if time_zone and time_zone not in zoneinfo.available_timezones():
        problems["time_zone"] = ["Not a time zone such as Europe/London."]
    if problems:
        raise InvalidInput(problems)
    owner.working_hours = hours
    owner.time_zone = owner.time_zone if time_zone is None else time_zone
    names = ["working_hours", "time_zone"]
    owner.save(update_fields=[*names, "updated_at"] if isinstance(owner, User) else names)


def add_holiday(*, day: date, name: str, team: Team | None = None, by: Actor) -> Holiday:
    """Note a day on which nobody works, or nobody of a team. Raises HolidayKnown."""
    by.require(CHANGE)
    try:
        with transaction.atomic():
            return Holiday.objects.create(date=day, name=name, team=team)
    except IntegrityError:
        raise HolidayKnown("This day is a holiday already.", field="date") from None


def remove_holiday(*, holiday: Holiday, by: Actor) -> None:
    by.require(CHANGE)
    holiday.delete()


def hours_problems(hours: Any) -> dict[str, list[str]]:
    """What is wrong with hours as they are stored: one span a day, 0 = Monday."""
    well_formed = isinstance(hours, dict) and all(
        day in "0123456"
        and len(day) == 1
        and isinstance(span, list)
        and len(span) == 2
        and all(isinstance(end, str) for end in span)
        and span[0] < span[1]
        for day, span in hours.items()
    )
    return (
        {}
        if well_formed
        else {"working_hours": ["Give opening and closing time per weekday, 0 = Monday; closing must come after opening."]}
    )
