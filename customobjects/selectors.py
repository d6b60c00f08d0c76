"""Reads of custom fields: the definitions of a kind of record, who may see and change which, and values as people read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.utils.dateparse import parse_date
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.identity.models import RoleGrant, User
from crm.tenancy.scope import current_scope
from crm.words import word_key
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition

# Where definitions are made and changed.
SETTINGS = "/settings/custom-fields"
# The kinds of records that can have fields of a tenant's own, by model label, with what people call them.
_extensible: dict[str, str | Promise] = {}


def extend_model(label: str, *, name: str | Promise) -> None:
    """Let tenants add fields to a kind of record. Its model keeps their values in `custom_fields`."""
    _extensible[label] = name


def extensible_models() -> dict[str, str]:
    return {label: str(name) for label, name in _extensible.items()}


def model_of(label: str) -> type[Model]:
    return apps.get_model(label)


@dataclass(frozen=True)
class Definitions:
    """The definitions of one kind of record, those switched off included, in their order."""

    every: tuple[FieldDefinition, ...] = ()
    # Keys as senders write them, and what they came to: the same few come again in every row of a file.
    _found: dict[str, FieldDefinition | None] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def active(self) -> tuple[FieldDefinition, ...]:
        return tuple(item for item in self.every if item.is_active)

    @cached_property
    def by_key(self) -> dict[str, FieldDefinition]:
        return {item.key: item for item in self.every}

    @cached_property
    def _by_word(self) -> dict[str, FieldDefinition]:
        # A key wins over another field's name.
        named = {word_key(item.label): item for item in reversed(self.every)}
        return {**named, **self.by_key}

    def find(self, name: str) -> FieldDefinition | None:
        """The field that a sender's name means: its key or its name, in any case and with any separator."""
        if name not in self._found:
            if len(self._found) > 2000:
                self._found.clear()
            self._found[name] = self.by_key.get(name) or self._by_word.get(word_key(name))
        return self._found[name]


def definitions(model: str) -> Definitions:
    """The open tenant's definitions for a kind of record, read once for the work in progress."""
    memo = current_scope().memo
    name = memo_name(model)
    if name not in memo:
        memo[name] = Definitions(tuple(FieldDefinition.objects.filter(model=model)))
    found: Definitions = memo[name]
    return found


def memo_name(model: str) -> str:
    return f"customobjects.definitions.{model}"


def were_read(model: str) -> bool:
    """Whether the work in progress has looked at the definitions yet."""
    return memo_name(model) in current_scope().memo


def all_definitions(model: str = "") -> QuerySet[FieldDefinition]:
    """Definitions as the settings list them."""
    found = FieldDefinition.objects.order_by("model", "position", "pk")
    return found.filter(model=model) if model else found


# --- who may see and change ---


def role_codes_of(actor: Actor) -> frozenset[str]:
    """The codes of an actor's roles, read once for the work in progress."""
    if actor.user_id is None:
        return frozenset()
    memo = current_scope().memo.setdefault("customobjects.roles", {})
    if actor.user_id not in memo:
        own = User.objects.filter(pk=actor.user_id).values_list("role__code", flat=True)
        more = RoleGrant.objects.filter(user_id=actor.user_id).values_list("role__code", flat=True)
        memo[actor.user_id] = frozenset([*own, *more])
    codes: frozenset[str] = memo[actor.user_id]
    return codes


def may_see(item: FieldDefinition, actor: Actor | None) -> bool:
    """Whether an actor may see a field's values. Nobody in particular sees only what everybody may."""
    if not item.visible_to:
        return True
    return actor is not None and (actor.all_powerful or not role_codes_of(actor).isdisjoint(item.visible_to))


def may_edit(item: FieldDefinition, actor: Actor | None) -> bool:
    if not may_see(item, actor):
        return False
    return not item.editable_by or (actor is not None and (actor.all_powerful or not role_codes_of(actor).isdisjoint(item.editable_by)))


def visible_definitions(model: str, actor: Actor | None) -> list[FieldDefinition]:
    """The fields in use that the actor may see."""
    return [item for item in definitions(model).active if may_see(item, actor)]


def hidden_keys(model: str, actor: Actor | None) -> frozenset[str]:
    """The keys whose values the actor may not see; a field that is switched off keeps its secret."""
    return frozenset(item.key for item in definitions(model).every if item.visible_to and not may_see(item, actor))


def without_hidden(model: str, values: Any, actor: Actor | None) -> Any:
    """A copy of what a sender sent, or of a record's values, without the fields that are hidden from the actor, at any depth."""
    hidden = hidden_keys(model, actor)
    return _stripped(values, definitions(model), hidden) if hidden else values


def _stripped(value: Any, known: Definitions, hidden: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _stripped(item, known, hidden) for key, item in value.items() if not _is_hidden(key, known, hidden)}
    if isinstance(value, list):
        # Answers of a form often come as {"name": …, "values": …}.
        named = (item for item in value if not (isinstance(item, Mapping) and _is_hidden(item.get("name"), known, hidden)))
        return [_stripped(item, known, hidden) for item in named]
    return value


def _is_hidden(name: Any, known: Definitions, hidden: frozenset[str]) -> bool:
    item = known.find(name) if isinstance(name, str) else None
    return item is not None and item.key in hidden


# --- values as people read them ---


def user_names() -> dict[int, str]:
    """Everybody's name by id, also of those who left, read once for the work in progress."""
    memo = current_scope().memo
    if "customobjects.people" not in memo:
        memo["customobjects.people"] = {
            pk: f"{first} {last}".strip() for pk, first, last in User.objects.order_by().values_list("pk", "first_name", "last_name")
        }
    names: dict[int, str] = memo["customobjects.people"]
    return names


def shown(item: FieldDefinition | None, value: Any) -> str:
    """A value as people read it, in their language. What is not of the field's kind is shown as it was sent."""
    if value is None or value in ("", [], {}):
        return ""
    if item is not None:
        text = _shown(item, value)
        if text is not None:
            return text
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    return str(value)


def _shown(item: FieldDefinition, value: Any) -> str | None:
    match item.kind:
        case FieldKind.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            return number_format(Decimal(str(value)), use_l10n=True, force_grouping=True)
        case FieldKind.MONEY if isinstance(value, Mapping) and "amount" in value:
            return money_text(value)
        case FieldKind.DATE if isinstance(value, str):
            return _date_text(value)
        case FieldKind.CHOICE if isinstance(value, str):
            return _choice_label(item, value)
        case FieldKind.MULTI_CHOICE if isinstance(value, list):
            return ", ".join(_choice_label(item, str(one)) for one in value)
        case FieldKind.USER if isinstance(value, int):
            return user_names().get(value, f"#{value}")
    return None


def money_text(value: Mapping[str, Any]) -> str:
    try:
        amount = number_format(Decimal(str(value["amount"])), decimal_pos=2, use_l10n=True, force_grouping=True)
    except ArithmeticError:
        amount = str(value["amount"])
    return f"{amount} {value.get('currency', '')}".strip()


def _date_text(value: str) -> str | None:
    try:
        day = parse_date(value)
    except ValueError:
        return None
    return date_format(day, "DATE_FORMAT") if day else None


def _choice_label(item: FieldDefinition, value: str) -> str:
    return next((str(choice["label"]) for choice in item.choices if choice["value"] == value), value)


def described_values(model: str, values: Mapping[str, Any], actor: Actor | None) -> list[tuple[FieldDefinition | None, str, str]]:
    """What a record's page shows: each field in use with its name and text, then what was sent under other names."""
    known, hidden = definitions(model), hidden_keys(model, actor)
    rows: list[tuple[FieldDefinition | None, str, str]] = [
        (item, item.label, shown(item, values.get(item.key))) for item in visible_definitions(model, actor)
    ]
    in_use = {item.key for item in known.active} | hidden
    rows += [(None, key, shown(known.by_key.get(key), value)) for key, value in values.items() if key not in in_use]
    return [row for row in rows if row[0] is not None or not _is_hidden(row[1], known, hidden)]


def changed_values(
    model: str, old: Mapping[str, Any], new: Mapping[str, Any], actor: Actor | None
) -> Iterable[tuple[str, str, str | None, str | None]]:
    """What became different between two states of a record's values, as the actor may know it: key, name, before, after."""
    known = definitions(model)
    old, new = without_hidden(model, old, actor), without_hidden(model, new, actor)
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            item = known.by_key.get(key)
            yield key, item.label if item else key, shown(item, old.get(key)) or None, shown(item, new.get(key)) or None
