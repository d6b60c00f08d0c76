"""Nested conditions over a model's fields: one language for filter menus, saved views, bulk work and the API.

A condition is a leaf `{"field": "score", "op": "at_least", "value": 70}`, or `{"all": [...]}`, `{"any": [...]}`, `{"not": {...}}`
of conditions. Moments may be relative to now, so that a saved condition goes on meaning what it says.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from crm.errors import InvalidInput
from crm.listing import TextCondition

MOST_DEPTH, MOST_LEAVES, MOST_VALUES, MOST_TEXT = 6, 60, 100, 500
NO_VALUE = ("empty", "not_empty")
OPERATORS: dict[str, tuple[str, ...]] = {
    "choice": ("is", "is_not", *NO_VALUE),
    "user": ("is", "is_not", *NO_VALUE),
    "flag": ("is",),
    "text": ("is", "is_not", "contains", "not_contains", "starts_with", *NO_VALUE),
    "number": ("is", "is_not", "less", "at_most", "more", "at_least", "between", *NO_VALUE),
    "date": ("on", "before", "after", "between", "older_than", "within_last", "within_next", *NO_VALUE),
    "tags": ("has_any", "has_all", "has_none", *NO_VALUE),
}
TOO_FAR = "Too far away."
_LOOKUPS = {"less": "lt", "at_most": "lte", "more": "gt", "at_least": "gte"}
_PERIOD = re.compile(r"([0-9]{1,4})(h|d|w|m|y)", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "m": timedelta(days=30), "y": timedelta(days=365)}
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


@dataclass(frozen=True, kw_only=True)
class ConditionField:
    """A field that conditions may name. `kind` is one of OPERATORS.

    `read` turns one value as given into a stored one, or raises ValueError with a sentence; `where` makes the condition of
    several stored values of a choice where a column compared does not say it. `blank` is what an empty field holds.
    `indexed` answers a condition, by operator and value, that an index finds which row conditions cannot use; it is asked
    only where all rows must fulfil it.
    """

    label: Any
    kind: str
    column: str = ""
    read: Callable[[Any], Any] | None = None
    where: Callable[[Sequence[Any]], Q] | None = None
    choices: Callable[[], Any] | None = None
    blank: Q = field(default_factory=Q)
    indexed: Callable[[str, Any], TextCondition | None] | None = None


class ConditionError(ValueError):
    """What is wrong, and at which place of the tree."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)


def read_conditions(tree: Any, fields: Mapping[str, ConditionField], *, me: int | None = None) -> tuple[Q, list[TextCondition]]:
    """The tree as an ORM condition, and what of it is better found by an index. Raises InvalidInput for `filter`, naming the place."""
    reader = _Reader(fields, me)
    try:
        return reader.node(tree, "", 1, everywhere=True), reader.found
    except ConditionError as error:
        raise InvalidInput({"filter": [str(error)]}) from None


class _Reader:
    def __init__(self, fields: Mapping[str, ConditionField], me: int | None) -> None:
        self.fields, self.me, self.leaves = fields, me, 0
        self.found: list[TextCondition] = []

    def node(self, tree: Any, place: str, depth: int, *, everywhere: bool = False) -> Q:
        """A part of the tree; `everywhere` says that all rows must fulfil it."""
        if depth > MOST_DEPTH:
            raise ConditionError(place, f"At most {MOST_DEPTH} levels.")
        if not isinstance(tree, dict):
            raise ConditionError(place, "Must be an object.")
        groups = [name for name in ("all", "any", "not") if name in tree]
        if len(groups) > 1 or (groups and len(tree) > 1):
            raise ConditionError(place, "Must be one of all, any, not, or a field with op and value.")
        if not groups:
            return self.leaf(tree, place, everywhere=everywhere)
        name = groups[0]
        if name == "not":
            return ~self.node(tree["not"], _at(place, "not"), depth + 1)
        parts = tree[name]
        if not isinstance(parts, list) or not parts:
            raise ConditionError(_at(place, name), "Must be a list with at least one condition.")
        condition = Q()
        for number, part in enumerate(parts):
            inner = self.node(part, f"{_at(place, name)}[{number}]", depth + 1, everywhere=everywhere and name == "all")
            condition = inner if number == 0 else condition & inner if name == "all" else condition | inner
        return condition

    def leaf(self, tree: Mapping[str, Any], place: str, *, everywhere: bool) -> Q:
        self.leaves += 1
        if self.leaves > MOST_LEAVES:
            raise ConditionError(place, f"At most {MOST_LEAVES} conditions.")
        unknown = set(tree) - {"field", "op", "value"}
        if unknown:
            raise ConditionError(place, f"Unknown key: {sorted(map(str, unknown))[0][:40]}.")
        name = tree.get("field")
        rule = self.fields.get(name) if isinstance(name, str) else None
        if rule is None:
            raise ConditionError(_at(place, "field"), f"Unknown field: {str(name)[:80]}.")
        operator = tree.get("op", "is")
        if operator not in OPERATORS[rule.kind]:
            raise ConditionError(_at(place, "op"), f"Must be one of {', '.join(OPERATORS[rule.kind])}.")
        if operator in NO_VALUE:
            return rule.blank if operator == "empty" else ~rule.blank
        try:
            condition: Q = getattr(self, f"_{rule.kind}")(rule, operator, tree.get("value"))
            found = rule.indexed(operator, tree.get("value")) if rule.indexed and everywhere else None
        except ValueError as error:
            raise ConditionError(_at(place, "value"), str(error)) from None
        except OverflowError:
            raise ConditionError(_at(place, "value"), TOO_FAR) from None
        if found is None:
            return condition
        self.found.append(found)
        return Q()

    # --- kinds ---

    def _choice(self, rule: ConditionField, operator: str, value: Any) -> Q:
        values = [_read(rule, item) for item in _several(value)]
        condition = rule.where(values) if rule.where else Q(**{f"{rule.column}__in": values})
        return ~condition if operator == "is_not" else condition

    def _user(self, rule: ConditionField, operator: str, value: Any) -> Q:
        words = [str(item) for item in _several(value)]
        if any(word not in ("me", "none") and not (word.isascii() and word.isdigit() and len(word) < 19) for word in words):
            raise ValueError("Must be a user's id, me or none.")
        ids = [self.me if word == "me" else int(word) for word in words if word != "none"]
        condition = Q(**{f"{rule.column}__in": [pk for pk in ids if pk is not None]})
        condition = condition | rule.blank if "none" in words else condition
        return ~condition if operator == "is_not" else condition

    def _flag(self, rule: ConditionField, operator: str, value: Any) -> Q:
        if not isinstance(value, bool):
            raise ValueError("Must be true or false.")
        return rule.where([value]) if rule.where else Q(**{rule.column: value})

    def _text(self, rule: ConditionField, operator: str, value: Any) -> Q:
        if operator in ("is", "is_not"):
            texts = [str(_read(rule, _text_of(item))) for item in _several(value)]
            condition = Q(**{f"{rule.column}__in": texts})
            return ~condition if operator == "is_not" else condition
        text = str(_read(rule, _text_of(value)))
        if not text:
            raise ValueError("Must not be empty.")
        condition = Q(**{f"{rule.column}__{'istartswith' if operator == 'starts_with' else 'icontains'}": text})
        return ~condition if operator == "not_contains" else condition

    def _number(self, rule: ConditionField, operator: str, value: Any) -> Q:
        if operator == "between":
            low, high = _pair(value)
            return Q(**{f"{rule.column}__gte": _number_of(low), f"{rule.column}__lte": _number_of(high)})
        if operator in _LOOKUPS:
            return Q(**{f"{rule.column}__{_LOOKUPS[operator]}": _number_of(value)})
        condition = Q(**{f"{rule.column}__in": [_number_of(item) for item in _several(value)]})
        return ~condition if operator == "is_not" else condition

    def _date(self, rule: ConditionField, operator: str, value: Any) -> Q:
        column, now = rule.column, timezone.now()
        match operator:
            case "older_than":
                return Q(**{f"{column}__lt": now - period(value)})
            case "within_last":
                return Q(**{f"{column}__gte": now - period(value), f"{column}__lte": now})
            case "within_next":
                return Q(**{f"{column}__gte": now, f"{column}__lte": now + period(value)})
            case "before":
                return Q(**{f"{column}__lt": moment(value)[0]})
            case "after":
                return Q(**{f"{column}__gte": moment(value)[1]})
        first, last = _pair(value) if operator == "between" else (value, value)
        return Q(**{f"{column}__gte": moment(first)[0], f"{column}__lt": moment(last)[1]})

    def _tags(self, rule: ConditionField, operator: str, value: Any) -> Q:
        tags = [_text_of(item) for item in _several(value)]
        if operator == "has_all":
            return Q(**{f"{rule.column}__contains": tags})
        condition = Q(**{f"{rule.column}__overlap": tags})
        return ~condition if operator == "has_none" else condition


# --- values ---


def period(value: Any) -> timedelta:
    """A span such as `12h`, `7d`, `2w`, `3m` (of 30 days), `1y`. Raises ValueError."""
    match = _PERIOD.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("Must be a span such as 12h, 7d, 2w, 3m or 1y.")
    return int(match[1]) * _UNITS[match[2]]


def moment(value: Any) -> tuple[datetime, datetime]:
    """The start and the end of what a moment names: of a day its bounds in the tenant's zone, of an instant itself.

    Reads ISO 8601, `today`, `yesterday`, `tomorrow`, and offsets from now such as `-7d`. Raises ValueError.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text in _DAYS or (text[:1] in ("-", "+") and text[-1:] in "dw" and _PERIOD.fullmatch(text[1:])):
        day = timezone.localdate() + (timedelta(days=_DAYS[text]) if text in _DAYS else period(text[1:]) * (-1 if text[0] == "-" else 1))
        return _bounds(datetime(day.year, day.month, day.day))
    if text[:1] in ("-", "+"):
        instant = timezone.now() + period(text[1:]) * (-1 if text[0] == "-" else 1)
        return instant, instant
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("Must be a date such as 2024-01-31, 2024-01-31T09:00:00Z, today or -7d.") from None
    if len(text) <= 10:
        return _bounds(read)
    instant = read if read.tzinfo else read.replace(tzinfo=timezone.get_current_timezone())
    return instant, instant


def _bounds(day: datetime) -> tuple[datetime, datetime]:
    zone = timezone.get_current_timezone()
    if day.year >= 9999:
        raise ValueError(TOO_FAR)
    return day.replace(tzinfo=zone), (day + timedelta(days=1)).replace(tzinfo=zone)


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _several(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > MOST_VALUES:
        raise ValueError(f"Give between 1 and {MOST_VALUES} values.")
    return values


def _pair(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("Must be a list of two: from and to.")
    return value[0], value[1]


def _read(rule: ConditionField, value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("Must be a text or a number.")
    return rule.read(value) if rule.read else value


def _text_of(value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value or len(value) > MOST_TEXT:
        raise ValueError(f"Must be a text of at most {MOST_TEXT} characters.")
    return value.strip()


def _number_of(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 2**53:
        raise ValueError("Must be a number.")
    return value


# --- in words ---

OPERATOR_WORDS = {
    "is": gettext_lazy("is"), "is_not": gettext_lazy("is not"), "empty": gettext_lazy("is empty"), "not_empty": gettext_lazy("is filled"),
    "contains": gettext_lazy("contains"), "not_contains": gettext_lazy("does not contain"), "starts_with": gettext_lazy("starts with"),
    "less": gettext_lazy("is less than"), "at_most": gettext_lazy("is at most"), "more": gettext_lazy("is more than"),
    "at_least": gettext_lazy("is at least"), "between": gettext_lazy("is between"), "on": gettext_lazy("is on"),
    "before": gettext_lazy("is before"), "after": gettext_lazy("is after"), "older_than": gettext_lazy("is older than"),
    "within_last": gettext_lazy("is within the last"), "within_next": gettext_lazy("is within the next"),
    "has_any": gettext_lazy("has any of"), "has_all": gettext_lazy("has all of"), "has_none": gettext_lazy("has none of"),
}  # fmt: skip


def describe(tree: Any, fields: Mapping[str, ConditionField]) -> str:
    """A readable tree in words, such as "Score is at least 70 and (City is Paris or Tags has any of vip)"."""
    return _said(tree, fields, inside=False)


def _said(tree: Any, fields: Mapping[str, ConditionField], *, inside: bool) -> str:
    for name, word in (("all", gettext("and")), ("any", gettext("or"))):
        if name in tree:
            parts = [_said(part, fields, inside=True) for part in tree[name]]
            text = f" {word} ".join(parts)
            return f"({text})" if inside and len(parts) > 1 else text
    if "not" in tree:
        return f"{gettext('not')} ({_said(tree['not'], fields, inside=False)})"
    rule, operator = fields[tree["field"]], tree.get("op", "is")
    value = "" if operator in NO_VALUE else _value_said(rule, tree.get("value"))
    return f"{rule.label} {OPERATOR_WORDS[operator]} {value}".rstrip()


def _value_said(rule: ConditionField, value: Any) -> str:
    labels = {str(code): str(label) for code, label in rule.choices()} if rule.choices else {}
    values = value if isinstance(value, list) else [value]
    return ", ".join(labels.get(str(item), str(item)) for item in values)
