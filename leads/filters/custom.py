"""Custom fields in lists of leads: as filters that use the index where one serves, and as fields of nested conditions.

What a condition asks of a field is put together from the field's filters, so that both compare alike. Conditions are read
over the fields' names and then turned into expressions, each of them true or false and never unknown: "is not" and "not"
hold for leads that have nothing there, or something of another shape.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial, reduce
from operator import and_, or_
from typing import Any, cast

from django.db.models import BooleanField, ExpressionWrapper, Q, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.db.models.lookups import IContains, IExact, IStartsWith
from django.utils import timezone

from crm.actors import Actor
from crm.conditions import ConditionField, moment
from crm.errors import InvalidInput
from crm.filters import CONDITIONS, Filter, UserFilter
from crm.listing import TextCondition
from customobjects.enums import FieldKind
from customobjects.filters import COLUMN, FieldFilter, FieldUserFilter, field_filters, filters_of
from customobjects.models import FieldDefinition
from customobjects.selectors import visible_definitions
from leads.filters.matching import custom_condition

MODEL, PREFIX = "leads.Lead", "cf_"
_NEVER = Q(pk__in=[])
_TEXTS = (FieldKind.TEXT, FieldKind.URL)
_NUMBERS = (FieldKind.NUMBER, FieldKind.MONEY)


# --- filters ---


@dataclass(frozen=True, kw_only=True)
class CustomFilter(Filter):
    """A filter of a custom field. Where one map of values says it all, an index finds the leads that contain it."""

    rule: FieldFilter | FieldUserFilter
    me: int | None

    def parse(self, text: str) -> Any:
        value = self.rule.parse(text)
        if isinstance(self.rule, UserFilter) and self.me is not None:
            return [str(self.me) if word == "me" else word for word in value]
        return value

    def q(self, value: Any) -> Q:
        return self.rule.q(value) if self.rule.contained(value) is None else Q()

    def text_condition(self, value: Any) -> TextCondition | None:
        wanted = self.rule.contained(value)
        return None if wanted is None else custom_condition(wanted)


class CustomFilters(Mapping[str, Filter]):
    """Fixed filters and those of the custom fields an actor sees; definitions are read when such a name is first asked for."""

    def __init__(self, fixed: Mapping[str, Filter], actor: Actor | None) -> None:
        self.fixed, self.actor = fixed, actor

    @cached_property
    def own(self) -> dict[str, Filter]:
        me = self.actor.user_id if self.actor else None
        return {
            name: CustomFilter(
                label=rule.label, choices=rule.choices, control=rule.control, rule=cast("FieldFilter | FieldUserFilter", rule), me=me
            )
            for name, rule in field_filters(MODEL, self.actor).items()
        }

    def __getitem__(self, name: str) -> Filter:
        return self.own[name] if name.startswith(PREFIX) else self.fixed[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.fixed, *self.own))

    def __len__(self) -> int:
        return len(self.fixed) + len(self.own)


# --- fields of nested conditions ---

_KINDS = {
    FieldKind.TEXT: "text", FieldKind.URL: "text", FieldKind.NUMBER: "number", FieldKind.MONEY: "number", FieldKind.DATE: "date",
    FieldKind.CHOICE: "choice", FieldKind.MULTI_CHOICE: "tags", FieldKind.USER: "user", FieldKind.CHECKBOX: "flag",
}  # fmt: skip


def custom_condition_fields(actor: Actor | None) -> dict[str, ConditionField]:
    """What nested conditions may name of the custom fields that an actor sees."""
    return {item.name: _condition_field(item, actor) for item in visible_definitions(MODEL, actor)}


def _condition_field(item: FieldDefinition, actor: Actor | None) -> ConditionField:
    rules = _rules(item)
    kind = FieldKind(item.kind)
    one = rules[""]
    return ConditionField(
        label=item.label,
        kind=_KINDS[kind],
        column=item.name,
        read=partial(_choice, item) if kind == FieldKind.CHOICE else None,
        where=_where(kind, one) if kind in (FieldKind.CHOICE, FieldKind.CHECKBOX) else None,
        choices=one.choices if kind in (FieldKind.CHOICE, FieldKind.MULTI_CHOICE, FieldKind.USER) else None,
        blank=rules["_empty"].q(True),
        indexed=partial(_indexed, item, one, actor.user_id if actor else None),
    )


def _rules(item: FieldDefinition) -> dict[str, Any]:
    return dict(filters_of(item))


def _where(kind: FieldKind, rule: Any) -> Callable[[Sequence[Any]], Q]:
    """The condition of several choices, or of the one answer of a checkbox."""
    return lambda values: _sure(rule.q(list(values) if kind == FieldKind.CHOICE else values[0]))


def _choice(item: FieldDefinition, word: Any) -> str:
    found = item.choice_of(str(word))
    if found is None:
        raise ValueError(f"Unknown choice: {str(word)[:40]}.")
    return str(found["value"])


def _indexed(item: FieldDefinition, rule: Any, me: int | None, operator: str, value: Any) -> TextCondition | None:
    """A condition as the map that leads must contain, where one says it all. It was read before, so it can be."""
    values = value if isinstance(value, list) else [value]
    wanted: dict[str, Any] | None = None
    match item.kind:
        case FieldKind.MULTI_CHOICE if operator == "has_all" or (operator == "has_any" and len(values) == 1):
            wanted = {item.key: [_choice(item, word) for word in values]}
        case FieldKind.CHOICE if operator == "is" and len(values) == 1:
            wanted = {item.key: _choice(item, values[0])}
        case FieldKind.NUMBER if operator == "is" and len(values) == 1:
            wanted = rule.contained(Decimal(str(values[0])))
        case FieldKind.USER if operator == "is" and len(values) == 1:
            wanted = rule.contained([str(me) if values[0] == "me" else str(values[0])])
        case FieldKind.CHECKBOX:
            wanted = rule.contained(value)
        case FieldKind.DATE if operator == "on":
            first, after = moment(value)
            wanted = rule.contained(timezone.localdate(first)) if after - first > timedelta(hours=20) else None
    return None if wanted is None else custom_condition(wanted)


# --- conditions over names, turned into expressions ---


def with_custom_fields(condition: Q, actor: Actor | None) -> Q:
    """A condition read over `custom_condition_fields`, with what it says of them as expressions. Raises InvalidInput."""
    try:
        return _resolved(condition, {item.name: item for item in visible_definitions(MODEL, actor)})
    except ValueError as error:
        raise InvalidInput({CONDITIONS: [str(error)]}) from None


def _resolved(condition: Q, items: Mapping[str, FieldDefinition]) -> Q:
    children: list[Any] = []
    for child in condition.children:
        if isinstance(child, Q):
            children.append(_resolved(child, items))
            continue
        name, _, lookup = child[0].rpartition("__") if isinstance(child, tuple) else ("", "", "")
        children.append(_sure(_asked(items[name], lookup, cast("Any", child)[1])) if name in items else child)
    return Q(*children, _connector=condition.connector, _negated=condition.negated)


def _sure(condition: Q) -> Q:
    """The condition, false where the database would not know."""
    if condition == _NEVER:
        return condition
    flag = BooleanField()
    return Q(Coalesce(ExpressionWrapper(condition, output_field=flag), Value(False), output_field=flag))


def _asked(item: FieldDefinition, lookup: str, value: Any) -> Q:
    rules = _rules(item)
    if item.kind in _TEXTS:
        return _text_asked(item.key, lookup, value)
    if item.kind in _NUMBERS:
        return _bounded(rules, "_min", "_max", lookup, value, _decimal)
    if item.kind == FieldKind.DATE:
        return _day_asked(rules, lookup, value)
    if item.kind == FieldKind.MULTI_CHOICE:
        values = [_choice(item, word) for word in value]
        return reduce(or_ if lookup == "overlap" else and_, [rules[""].q([one]) for one in values])
    # A user's number; one whose condition reads nobody is told apart before.
    return rules[""].q([str(pk) for pk in value]) if value else _NEVER


def _text_asked(key: str, lookup: str, value: Any) -> Q:
    held = KeyTextTransform(key, COLUMN, output_field=TextField())
    if lookup == "in":
        return reduce(or_, [Q(IExact(held, text)) for text in value])
    return Q({"icontains": IContains, "istartswith": IStartsWith}[lookup](held, value))


def _bounded(rules: Mapping[str, Any], least: str, most: str, lookup: str, value: Any, read: Callable[[Any], Any]) -> Q:
    """A comparison said by the field's filters: equal, from and to."""
    same = rules[""].q
    match lookup:
        case "in":
            return reduce(or_, [same(read(one)) for one in value])
        case "gte" | "gt":
            least_of: Q = rules[least].q(read(value))
            return least_of if lookup == "gte" else least_of & ~same(read(value))
    most_of: Q = rules[most].q(read(value))
    return most_of if lookup == "lte" else most_of & ~same(read(value))


def _day_asked(rules: Mapping[str, Any], lookup: str, value: datetime) -> Q:
    """Moments as days of the tenant's zone: before a moment is before its day."""
    return _bounded(rules, "_after", "_before", lookup, value, _day)


def _day(value: datetime) -> date:
    return timezone.localdate(value)


def _decimal(value: float) -> Decimal:
    return Decimal(str(value))
