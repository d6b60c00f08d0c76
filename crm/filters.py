"""Filters declared once for a model and used by its page, API and later exports, bulk work and saved views."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.conditions import TOO_FAR, ConditionField, moment, read_conditions
from crm.errors import InvalidInput
from crm.listing import TextCondition

# The parameter that holds nested conditions, and the most characters of it.
CONDITIONS, MOST_CONDITIONS = "filter", 20_000
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
    """A bound in time: ISO 8601, or relative such as `today` and `-7d`. A day counts whole: from its start (gte), or to its end."""

    lookup: str
    control: str = "date"

    def parse(self, text: str) -> datetime:
        if text[:1] in ("-", "+") or text in ("today", "yesterday", "tomorrow"):
            try:
                return moment(text)[1 if self.lookup == "lt" else 0]
            except OverflowError:
                raise ValueError(TOO_FAR) from None
        try:
            instant = parse_datetime(text) if "T" in text or ":" in text else None
            day = parse_date(text) if instant is None else None
        except ValueError:
            instant = day = None
        if instant is None and day is None:
            raise ValueError("Must be a date such as 2024-01-31, 2024-01-31T09:00:00Z, today or -7d.")
        return self._bound(instant, day)

    def _bound(self, instant: datetime | None, day: date | None) -> datetime:
        if instant is None:
            assert day is not None
            instant = datetime.combine(day, time())
            if self.lookup == "lt":
                instant += timedelta(days=1) if day < date.max else timedelta()
            return instant.replace(tzinfo=timezone.get_current_timezone())
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)

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
class IdsFilter(Filter):
    """Records named one by one, comma-separated."""

    most: int = 10_000
    control: str = "hidden"

    def parse(self, text: str) -> list[int]:
        words = [word for word in text.replace(" ", "").split(",") if word]
        if len(words) > self.most or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
            raise ValueError(f"Must be at most {self.most:,} numbers, separated by commas.")
        return [int(word) for word in words]

    def q(self, value: list[int]) -> Q:
        return Q(**{f"{self.column}__in": value})


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
    """The filters of a model by parameter name. `aliases` name the same filter differently.

    The parameter `filter` holds nested conditions (see `crm.conditions`) over `condition_fields`.
    """

    filters: ClassVar[Mapping[str, Filter]] = {}
    aliases: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def all_filters(cls) -> Mapping[str, Filter]:
        """The filters of the open tenant: these, and in subclasses those of fields it defined itself."""
        return cls.filters

    @classmethod
    def condition_fields(cls) -> Mapping[str, ConditionField]:
        """What nested conditions may name; asked for only where there are some."""
        return {}

    @classmethod
    def unknown(cls, data: Mapping[str, str]) -> list[str]:
        """The names that are no filter: a list passes over them, what changes or takes away records must not."""
        filters = cls.all_filters()
        return [name for name in data if name != CONDITIONS and filters.get(cls.aliases.get(name, name)) is None]

    @classmethod
    def read(cls, data: Mapping[str, str], *, me: int | None = None) -> Narrowing:
        """Read query parameters; empty ones are left out. Raises InvalidInput naming every parameter that is wrong."""
        result, problems = Narrowing(), {}
        filters = cls.all_filters()
        for given, raw in data.items():
            name = cls.aliases.get(given, given)
            rule = filters.get(name)
            text = raw.strip() if isinstance(raw, str) else ""
            if given == CONDITIONS and text:
                nested, found = read_conditions(_json(text), cls.condition_fields(), me=me)
                result.q &= nested
                result.texts += found
                result.values[CONDITIONS], result.applied[CONDITIONS] = text, text
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


def _json(text: str) -> Any:
    if len(text) > MOST_CONDITIONS or "\\u0000" in text:
        raise InvalidInput({CONDITIONS: ["Too long, or holds a NUL character."]})
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput({CONDITIONS: ["Must be JSON."]}) from None


def split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()][:100]


def parse_flag(text: str) -> bool:
    word = text.strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError("Must be true or false.")
