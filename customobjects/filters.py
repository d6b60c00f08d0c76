"""Filters over the values of custom fields, by definition. Values are compared by kind; rows that hold another shape never match and never fail.

`cf_<key>` asks for a value or one of several, `cf_<key>_contains` for a part of a text, `_min` and `_max` bound numbers and
amounts, `_after` and `_before` dates, and `cf_<key>_empty` asks for records that hold nothing there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, Case, DecimalField, Func, Q, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Collate
from django.db.models.lookups import Exact, GreaterThanOrEqual, IContains, IExact, In, IsNull, LessThanOrEqual, Regex
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.filters import Filter, UserFilter, parse_flag, split_words
from crm.identity.selectors import active_users
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import visible_definitions

COLUMN = "custom_fields"
NONE = "none"
_FLAG, _WORDS = BooleanField(), ArrayField(TextField())
_AMOUNT = r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


class _Numeric(Func):
    """A text that is known to be a number, as one."""

    template = "(%(expressions)s)::numeric"
    output_field: ClassVar[Any] = DecimalField()


class _AnyOf(Func):
    """Whether a JSON text, or list of texts, holds one of several."""

    arg_joiner = " ?| "
    template = "(%(expressions)s::text[])"


def _text(key: str) -> KeyTextTransform:
    return KeyTextTransform(key, COLUMN, output_field=TextField())


def _type_is(key: str, name: str) -> Exact:
    return Exact(Func(KeyTransform(key, COLUMN), function="jsonb_typeof", output_field=TextField()), Value(name))


def _number(key: str) -> Case:
    return Case(When(Q(_type_is(key, "number")), then=_Numeric(_text(key))), output_field=DecimalField())


def _amount(key: str) -> Case:
    amount = KeyTextTransform("amount", KeyTransform(key, COLUMN), output_field=TextField())
    return Case(When(Q(Regex(amount, Value(_AMOUNT))), then=_Numeric(amount)), output_field=DecimalField())


def _day(key: str) -> Case:
    return Case(When(Q(Regex(_text(key), Value(_DAY))), then=Collate(_text(key), "C")), output_field=TextField())


def _is_missing(key: str) -> Q:
    """Nothing is held under the key, or a JSON null."""
    return Q(IsNull(_text(key), True))


@dataclass(frozen=True, kw_only=True)
class FieldFilter(Filter):
    """A condition on one custom field."""

    key: str

    def contained(self, value: Any) -> dict[str, Any] | None:
        """What `custom_fields` must contain for this value, where that says it all, so that an index can find the few that do."""
        return None


@dataclass(frozen=True, kw_only=True)
class FieldTextFilter(FieldFilter):
    """Exactly this text, or one of several, comma-separated, whatever their case; `none` for nothing."""

    def parse(self, text: str) -> list[str]:
        return split_words(text)

    def q(self, value: list[str]) -> Q:
        condition = Q()
        for word in value:
            condition |= _is_missing(self.key) if word == NONE else Q(IExact(_text(self.key), word))
        return condition


@dataclass(frozen=True, kw_only=True)
class FieldContainsFilter(FieldFilter):
    """A part of a text, whatever its case."""

    def parse(self, text: str) -> str:
        return text[:200]

    def q(self, value: str) -> Q:
        return Q(IContains(_text(self.key), value))


@dataclass(frozen=True, kw_only=True)
class FieldNumberFilter(FieldFilter):
    """A number, or a bound with `lookup` gte or lte. `is_money` compares the amount."""

    lookup: str = "exact"
    is_money: bool = False
    control: str = "number"

    def parse(self, text: str) -> Decimal:
        try:
            number = Decimal(text.replace(",", "") if text.count(".") <= 1 else text)
        except InvalidOperation:
            raise ValueError("Must be a number.") from None
        if not number.is_finite() or abs(number) >= Decimal(10) ** 18:
            raise ValueError("Must be a number.")
        return number

    def q(self, value: Decimal) -> Q:
        held = _amount(self.key) if self.is_money else _number(self.key)
        return Q({"exact": Exact, "gte": GreaterThanOrEqual, "lte": LessThanOrEqual}[self.lookup](held, value))

    def contained(self, value: Decimal) -> dict[str, Any] | None:
        if self.is_money or self.lookup != "exact":
            return None
        return {self.key: int(value) if value == value.to_integral_value() else float(value)}


@dataclass(frozen=True, kw_only=True)
class FieldDateFilter(FieldFilter):
    """A day, or a bound with `lookup` gte or lte; the day itself counts."""

    lookup: str = "exact"
    control: str = "date"

    def parse(self, text: str) -> date:
        try:
            day = parse_date(text[:10])
        except ValueError:
            day = None
        if day is None:
            raise ValueError("Must be a date such as 2024-01-31.")
        return day

    def q(self, value: date) -> Q:
        return Q({"exact": Exact, "gte": GreaterThanOrEqual, "lte": LessThanOrEqual}[self.lookup](_day(self.key), value.isoformat()))

    def contained(self, value: date) -> dict[str, Any] | None:
        return {self.key: value.isoformat()} if self.lookup == "exact" else None


@dataclass(frozen=True, kw_only=True)
class FieldChoiceFilter(FieldFilter):
    """One or several choices, comma-separated, by value or label: records that hold any of them. `none` for nothing."""

    definition: FieldDefinition
    control: str = "choice"

    def parse(self, text: str) -> list[str]:
        values = []
        for word in split_words(text):
            found = self.definition.choice_of(word)
            if found is None and word != NONE:
                raise ValueError(f"Unknown choice: {word[:40]}.")
            values.append(str(found["value"]) if found else NONE)
        return values

    def q(self, value: list[str]) -> Q:
        words = [word for word in value if word != NONE or self.definition.choice_of(NONE)]
        condition = Q(_AnyOf(KeyTransform(self.key, COLUMN), Value(words, output_field=_WORDS), output_field=_FLAG)) if words else Q()
        return condition | _is_missing(self.key) if len(words) < len(value) else condition

    def contained(self, value: list[str]) -> dict[str, Any] | None:
        if len(value) != 1 or value[0] == NONE:
            return None
        return {self.key: [value[0]] if self.definition.kind == FieldKind.MULTI_CHOICE else value[0]}


@dataclass(frozen=True, kw_only=True)
class FieldUserFilter(UserFilter):
    """People by id, `me`, or `none`, comma-separated."""

    key: str

    def q(self, value: list[str]) -> Q:
        ids = [word for word in value if word.isdigit()]
        condition = Q(In(_text(self.key), ids)) if ids else Q()
        return condition | _is_missing(self.key) if NONE in value else condition

    def contained(self, value: list[str]) -> dict[str, Any] | None:
        return {self.key: int(value[0])} if len(value) == 1 and value[0].isdigit() else None


@dataclass(frozen=True, kw_only=True)
class FieldFlagFilter(FieldFilter):
    """Yes or no. Records that hold neither count as no."""

    control: str = "flag"

    def parse(self, text: str) -> bool:
        return parse_flag(text)

    def q(self, value: bool) -> Q:
        yes = Q(Exact(_text(self.key), Value("true")))
        return yes if value else _is_missing(self.key) | Q(Exact(_text(self.key), Value("false")))

    def contained(self, value: bool) -> dict[str, Any] | None:
        return {self.key: True} if value else None


@dataclass(frozen=True, kw_only=True)
class FieldEmptyFilter(FieldFilter):
    """Whether a record holds nothing in the field."""

    control: str = "flag"

    def parse(self, text: str) -> bool:
        return parse_flag(text)

    def q(self, value: bool) -> Q:
        return Q(IsNull(_text(self.key), value))


def field_filters(model: str, actor: Actor | None) -> dict[str, Filter]:
    """The filters of the fields in use that the actor may see, by the name of their parameter."""
    found: dict[str, Filter] = {}
    for item in visible_definitions(model, actor):
        found.update({f"{item.name}{ending}": rule for ending, rule in filters_of(item)})
    return found


def filters_of(item: FieldDefinition) -> Iterable[tuple[str, Filter]]:
    """What can be asked of one field: the ending of the parameter's name, and its filter."""
    key, label = item.key, item.label
    match item.kind:
        case FieldKind.TEXT | FieldKind.URL:
            yield "", FieldTextFilter(label=label, key=key)
            yield "_contains", FieldContainsFilter(label=_("%s contains") % label, key=key)
        case FieldKind.NUMBER | FieldKind.MONEY:
            is_money = item.kind == FieldKind.MONEY
            yield "", FieldNumberFilter(label=label, key=key, is_money=is_money)
            yield "_min", FieldNumberFilter(label=_("%s from") % label, key=key, lookup="gte", is_money=is_money)
            yield "_max", FieldNumberFilter(label=_("%s to") % label, key=key, lookup="lte", is_money=is_money)
        case FieldKind.DATE:
            yield "", FieldDateFilter(label=label, key=key)
            yield "_after", FieldDateFilter(label=_("%s from") % label, key=key, lookup="gte")
            yield "_before", FieldDateFilter(label=_("%s until") % label, key=key, lookup="lte")
        case FieldKind.CHOICE | FieldKind.MULTI_CHOICE:
            choices = [(str(choice["value"]), choice["label"]) for choice in item.choices]
            yield "", FieldChoiceFilter(label=label, key=key, definition=item, choices=lambda: choices)
        case FieldKind.USER:
            yield "", FieldUserFilter(label=label, key=key, choices=_people)
        case FieldKind.CHECKBOX:
            yield "", FieldFlagFilter(label=label, key=key)
    yield "_empty", FieldEmptyFilter(label=_("%s is empty") % label, key=key)


def _people() -> list[tuple[str, Any]]:
    return [("me", _("Me")), (NONE, _("Nobody")), *((str(user.pk), user.full_name) for user in active_users())]
