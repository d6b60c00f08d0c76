"""Filters declared once for a model and used by its page, API and later exports, bulk work and saved views."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.errors import InvalidInput
from crm.listing import TextCondition

Choices = Callable[[], Iterable[tuple[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One condition offered. `parse` reads the text of a query parameter or raises ValueError with a sentence for the user."""

    label: Any
    column: str = ""
    choices: Choices | None = None
    # How a page shows it: choice, text, number, date, user, flag.
    control: str = "text"

    def parse(self, text: str) -> Any:
        return text

    def q(self, value: Any) -> Q:
        return Q(**{self.column: value})

    def text_condition(self, value: Any) -> TextCondition | None:
        return None


@dataclass(frozen=True, kw_only=True)
class ChoiceFilter(Filter):
    """One or several of a vocabulary, comma-separated. `read` maps a word as typed to a stored value, or raises ValueError."""

    read: Callable[[str], Any]
    control: str = "choice"

    def parse(self, text: str) -> list[Any]:
        return [self.read(word) for word in split_words(text)]

    def q(self, value: list[Any]) -> Q:
        return Q(**{f"{self.column}__in": value}) if len(value) > 1 else Q(**{self.column: value[0]}) if value else Q()


@dataclass(frozen=True, kw_only=True)
class TextFilter(Filter):
    """Exactly this text, or one of several, comma-separated."""

    max_length: int = 200

    def parse(self, text: str) -> list[str]:
        if len(text) > self.max_length * 20:
            raise ValueError("Too long.")
        return split_words(text)

    def q(self, value: list[str]) -> Q:
        return Q(**{f"{self.column}__in": value})


@dataclass(frozen=True, kw_only=True)
class NumberFilter(Filter):
    """A bound. `lookup` is gte or lte."""

    lookup: str
    minimum: float = -(2**31)
    maximum: float = 2**31 - 1
    control: str = "number"

    def parse(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError("Must be a number.") from None
        if not self.minimum <= number <= self.maximum:
            raise ValueError(f"Must lie between {self.minimum:g} and {self.maximum:g}.")
        return number

    def q(self, value: float) -> Q:
        return Q(**{f"{self.column}__{self.lookup}": value})


@dataclass(frozen=True, kw_only=True)
class DateFilter(Filter):
    """A bound in time, as ISO 8601. A bare day counts whole: from its start (gte), or to its end (lt the next day)."""

    lookup: str
    control: str = "date"

    def parse(self, text: str) -> datetime:
        try:
            moment = parse_datetime(text) if "T" in text or ":" in text else None
            day = parse_date(text) if moment is None else None
        except ValueError:
            moment = day = None
        if moment is None and day is None:
            raise ValueError("Must be a date such as 2024-01-31 or 2024-01-31T09:00:00Z.")
        return self._bound(moment, day)

    def _bound(self, moment: datetime | None, day: date | None) -> datetime:
        if moment is None:
            assert day is not None
            moment = datetime.combine(day, time())
            if self.lookup == "lt":
                moment += timedelta(days=1) if day < date.max else timedelta()
            return moment.replace(tzinfo=timezone.get_current_timezone())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def q(self, value: datetime) -> Q:
        return Q(**{f"{self.column}__{self.lookup}": value})


@dataclass(frozen=True, kw_only=True)
class UserFilter(Filter):
    """People by id, `me`, or `none`, comma-separated."""

    control: str = "user"

    def parse(self, text: str) -> list[str]:
        words = split_words(text)
        for word in words:
            if word not in ("me", "none") and not re.fullmatch(r"[0-9]{1,18}", word):
                raise ValueError("Must be a user's id, me or none.")
        return words

    def q(self, value: list[str]) -> Q:
        ids = [int(word) for word in value if word.isdigit()]
        condition = Q(**{f"{self.column}__in": ids}) if len(ids) != 1 else Q(**{self.column: ids[0]})
        if "none" not in value:
            return condition
        nobody = Q(**{f"{self.column}__isnull": True})
        return condition | nobody if ids else nobody


@dataclass(frozen=True, kw_only=True)
class IdFilter(Filter):
    """A record named by its number. `condition` makes of it what a plain column does not say."""

    condition: Callable[[int], Q] | None = None
    control: str = "hidden"

    def parse(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ValueError("Must be a number.")
        return int(text)

    def q(self, value: int) -> Q:
        return self.condition(value) if self.condition else Q(**{self.column: value})


@dataclass(frozen=True, kw_only=True)
class FlagFilter(Filter):
    """Yes or no; `when_true` is the condition of yes, its opposite that of no."""

    when_true: Q
    control: str = "flag"

    def parse(self, text: str) -> bool:
        return parse_flag(text)

    def q(self, value: bool) -> Q:
        return self.when_true if value else ~self.when_true


@dataclass(frozen=True, kw_only=True)
class MatchFilter(Filter):
    """A text or array condition, answered through `build`."""

    read: Callable[[str], Any]
    build: Callable[[Any], TextCondition | None]
    control: str = "text"

    def parse(self, text: str) -> Any:
        return self.read(text)

    def q(self, value: Any) -> Q:
        return Q()

    def text_condition(self, value: Any) -> TextCondition | None:
        return self.build(value)


@dataclass(kw_only=True)
class Narrowing:
    """What a set of filters came to: an ORM condition, text conditions, and what was applied, as it was given."""

    q: Q = field(default_factory=Q)
    texts: list[TextCondition] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, str] = field(default_factory=dict)


class FilterSet:
    """The filters of a model by parameter name. `aliases` name the same filter differently."""

    filters: ClassVar[Mapping[str, Filter]] = {}
    aliases: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def read(cls, data: Mapping[str, str], *, me: int | None = None) -> Narrowing:
        """Read query parameters; empty ones are left out. Raises InvalidInput naming every parameter that is wrong."""
        result, problems = Narrowing(), {}
        for given, raw in data.items():
            name = cls.aliases.get(given, given)
            rule = cls.filters.get(name)
            text = raw.strip() if isinstance(raw, str) else ""
            if rule is None or not text:
                continue
            try:
                if "\x00" in text:
                    raise ValueError("Must not hold a NUL character.")
                value = rule.parse(text)
            except ValueError as error:
                problems[given] = [str(error)]
                continue
            if isinstance(rule, UserFilter):
                value = [str(me) if word == "me" and me is not None else word for word in value]
            result.q &= rule.q(value)
            result.values[name], result.applied[given] = value, text
            condition = rule.text_condition(value)
            if condition is not None:
                result.texts.append(condition)
        if problems:
            raise InvalidInput(problems)
        return result


def split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()][:100]


def parse_flag(text: str) -> bool:
    word = text.strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError("Must be true or false.")
