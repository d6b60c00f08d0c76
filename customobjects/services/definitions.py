"""Make, change, order and remove the definitions of custom fields."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from crm.actors import Actor
from crm.errors import Forbidden, InvalidInput, NotFound
from crm.identity.models import Role
from crm.normal import clean_text
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_scope
from crm.words import word_key
from customobjects.enums import CAN_BE_UNIQUE, COLOURS, FieldKind
from customobjects.errors import FieldIsRestricted, KeyTaken, KindIsFixed, TooManyFields
from customobjects.models import FieldDefinition
from customobjects.permissions import CONFIGURE
from customobjects.selectors import all_definitions, definitions, extensible_models, may_see, memo_name
from customobjects.services.kinds import is_empty, read_value
from customobjects.services.uniqueness import claim_all, release_all
from customobjects.services.values import people_by_name

# Active ones of one kind of record, and all there may ever be.
MOST_ACTIVE, MOST_DEFINED, MOST_CHOICES = 100, 300, 200
_KEY = re.compile(r"[a-z][a-z0-9_]{0,49}")
_CURRENCY = re.compile(r"[A-Z]{3}")
# Filters of one field must not be named like another field's.
ENDINGS = ("min", "max", "after", "before", "contains", "empty")


@dataclass(frozen=True, kw_only=True)
class FieldSettings:
    """What a field is set to. Without a key it gets one from its name. Choices may be texts, or objects with value and colour."""

    label: str
    kind: FieldKind
    key: str = ""
    help_text: str = ""
    choices: Sequence[str | Mapping[str, Any]] = ()
    currency: str = ""
    required: bool = False
    unique: bool = False
    default: Any = None
    visible_to: Sequence[str] = ()
    editable_by: Sequence[str] = ()
    in_list: bool = True
    in_forms: bool = True
    is_active: bool = True


def find_definition(*, definition_id: int, lock: bool = False) -> FieldDefinition:
    """Read one definition, or raise NotFound."""
    rows = FieldDefinition.objects.select_for_update(of=("self",)) if lock else FieldDefinition.objects.all()
    found: FieldDefinition | None = rows.filter(pk=definition_id).first() if definition_id < 2**63 else None
    if found is None:
        raise NotFound("No such field.")
    return found


def check_definition(*, definition: FieldDefinition | None, model: str, wanted: FieldSettings) -> FieldDefinition:
    """The definition as it would be, unsaved. Raises InvalidInput by field, KindIsFixed."""
    problems: dict[str, list[str]] = {}
    record = definition or FieldDefinition(model=model)
    if definition is None and model not in extensible_models():
        problems["model"] = [f"Must be one of {', '.join(extensible_models())}."]
    if definition is not None and (wanted.kind != definition.kind or (wanted.key and wanted.key != definition.key)):
        raise KindIsFixed(
            "Kind and key stay as they are: values are stored by them.", field="key" if wanted.kind == definition.kind else "kind"
        )
    record.kind, record.label = wanted.kind, clean_text(wanted.label)
    record.help_text = clean_text(wanted.help_text)
    for name, text, most in (("label", record.label, 80), ("help_text", record.help_text, 200)):
        if len(text) > most:
            problems[name] = [f"At most {most} characters."]
    if not record.label:
        problems["label"] = ["Give the field a name."]
    if definition is None:
        record.key = wanted.key or key_for(record.label, among={item.key for item in definitions(model).every})
        if not _KEY.fullmatch(record.key):
            problems["key"] = ["Small letters, digits and underscores, beginning with a letter; at most 50."]
    record.choices = _choices(wanted, record.choices, problems)
    record.currency = _currency(wanted, problems)
    record.required, record.unique = wanted.required, wanted.unique
    if record.unique and record.kind not in CAN_BE_UNIQUE:
        problems["unique"] = ["Only texts, numbers, dates and web addresses can be unique."]
    if record.required and record.kind == FieldKind.CHECKBOX:
        problems["required"] = ["A checkbox is always yes or no."]
    _set_roles(record, wanted, problems)
    if not problems:
        record.default = _default(record, wanted, problems)
    if problems:
        raise InvalidInput(problems)
    record.in_list, record.in_forms, record.is_active = wanted.in_list, wanted.in_forms, wanted.is_active
    return record


def save_definition(*, definition: FieldDefinition | None, model: str, wanted: FieldSettings, by: Actor) -> FieldDefinition:
    """Make or change a field. A field that becomes unique is checked against all values that are there.

    Raises InvalidInput by field, Forbidden, KeyTaken, KindIsFixed, TooManyFields, NotUnique.
    """
    by.require(CONFIGURE)
    if definition is not None:
        _require_sight(definition, by)
    was_unique = definition is not None and definition.unique and definition.is_active
    was_active = definition is not None and definition.is_active
    record = check_definition(definition=definition, model=model, wanted=wanted)
    _check_name(record)
    if record.is_active and not was_active:
        _check_room(record)
    if definition is None:
        last: int | None = FieldDefinition.objects.filter(model=model).aggregate(last=Max("position"))["last"]
        record.position = 0 if last is None else min(last + 1, 32_767)
    try:
        with transaction.atomic():
            record.save()
    except IntegrityError:
        raise KeyTaken("Another field has this key.", field="key") from None
    forget_definitions(record.model)
    if record.unique and record.is_active and not was_unique:
        claim_all(record)
    elif was_unique and not (record.unique and record.is_active):
        release_all(record)
    return record


def switch_definition(*, definition: FieldDefinition, on: bool, by: Actor) -> FieldDefinition:
    """Switch a field off, which keeps its values where they are, or on again."""
    by.require(CONFIGURE)
    _require_sight(definition, by)
    if definition.is_active == on:
        return definition
    definition.is_active = on
    if on:
        _check_room(definition)
    definition.save(update_fields=["is_active", "updated_at"])
    forget_definitions(definition.model)
    if definition.unique:
        if on:
            claim_all(definition)
        else:
            release_all(definition)
    return definition


def delete_definition(*, definition: FieldDefinition, by: Actor) -> None:
    """Remove a definition. The values stay with their records, as keys of no field.

    Nobody could say then from whom they are to be hidden, in records, in what was received and in the history; so one that not
    everybody sees stays. Raises FieldIsRestricted.
    """
    by.require(CONFIGURE)
    _require_sight(definition, by)
    if definition.visible_to:
        raise FieldIsRestricted("Deleted, its values would be seen by everybody. Switch it off instead, or first let everybody see it.")
    model = definition.model
    definition.delete()
    forget_definitions(model)


def order_definitions(*, model: str, ids: Sequence[int], by: Actor) -> None:
    """Put a model's fields into this order; those not named follow in the order they had. Raises InvalidInput for unknown ids."""
    by.require(CONFIGURE)
    rows = list(all_definitions(model).select_for_update(of=("self",)))
    known = {item.pk: item for item in rows}
    if set(ids) - set(known) or len(set(ids)) != len(ids):
        raise InvalidInput({"ids": ["Must be ids of fields of these records, each once."]})
    ordered = [known[pk] for pk in ids] + [item for item in rows if item.pk not in set(ids)]
    changed = []
    for place, item in enumerate(ordered):
        if item.position != place:
            item.position = place
            changed.append(item)
    FieldDefinition.objects.bulk_update(changed, ["position"])
    forget_definitions(model)


def move_definition(*, definition: FieldDefinition, up: bool, by: Actor) -> None:
    """Let a field change places with its neighbour."""
    by.require(CONFIGURE)
    ids = list(all_definitions(definition.model).values_list("pk", flat=True))
    place = ids.index(definition.pk)
    other = place - 1 if up else place + 1
    if 0 <= other < len(ids):
        ids[place], ids[other] = ids[other], ids[place]
        order_definitions(model=definition.model, ids=ids, by=by)


def _require_sight(definition: FieldDefinition, by: Actor) -> None:
    """Whoever may not see a field's values must not come by them by changing the field."""
    if not may_see(definition, by):
        raise Forbidden("Your role may not see this field, and so may not change it.")


def forget_definitions(model: str) -> None:
    """Read the definitions anew from here on."""
    memo = current_scope().memo
    memo.pop(memo_name(model), None)
    memo.pop(f"customobjects.cleaners.{model}", None)


def key_for(label: str, *, among: set[str] | frozenset[str]) -> str:
    """A key for a name: the same in small letters, numbered where it is taken."""
    folded = re.sub(r"[^a-z0-9]+", "_", _ascii(label).lower()).strip("_")[:44]
    base = folded if folded and folded[0].isalpha() else f"field_{folded}".strip("_")
    number, key = 1, base
    while key in among:
        number += 1
        key = f"{base}_{number}"
    return key


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _check_name(record: FieldDefinition) -> None:
    """Refuse a key whose filters would be named like another field's, and a name that is another field's already."""
    others = [item for item in definitions(record.model).every if item.pk != record.pk]
    for other in others:
        mixed = {f"{record.key}_{ending}" for ending in ENDINGS} & {other.key} or {f"{other.key}_{ending}" for ending in ENDINGS} & {
            record.key
        }
        if other.key == record.key or mixed:
            raise KeyTaken(f"The key would be mistaken for that of “{other.label}”.", field="key")
        if word_key(other.label) == word_key(record.label):
            raise KeyTaken("Another field has this name.", field="label")


def _check_room(record: FieldDefinition) -> None:
    others = [item for item in definitions(record.model).every if item.pk != record.pk]
    if sum(item.is_active for item in others) >= MOST_ACTIVE:
        raise TooManyFields(f"At most {MOST_ACTIVE} fields can be in use. Switch one off first.")
    if len(others) >= MOST_DEFINED:
        raise TooManyFields(f"At most {MOST_DEFINED} fields can be defined. Delete one first.")


def _choices(wanted: FieldSettings, before: Sequence[Mapping[str, Any]], problems: dict[str, list[str]]) -> list[dict[str, Any]]:
    if wanted.kind not in (FieldKind.CHOICE, FieldKind.MULTI_CHOICE):
        return []
    kept_values = {word_key(str(item["label"])): str(item["value"]) for item in before}
    choices: list[dict[str, Any]] = []
    values: set[str] = set()
    labels: set[str] = set()
    for item in wanted.choices:
        given: Mapping[str, Any] = {"label": item} if isinstance(item, str) else item
        label = clean_text(str(given.get("label") or given.get("value") or ""))
        if not label:
            continue
        value = clean_text(str(given.get("value") or "")) or kept_values.get(word_key(label)) or key_for(label, among=values)
        color = str(given.get("color") or "")
        if len(label) > 80 or len(value) > 60 or any(char in label + value for char in ",;|"):
            problems["choices"] = ["A choice has at most 80 characters, without comma, semicolon or bar."]
        if color and color not in COLOURS:
            problems["choices"] = [f"Colours are {', '.join(COLOURS)}."]
        if value in values or word_key(label) in labels:
            problems["choices"] = [f"The choice “{label[:80]}” is there twice."]
        values.add(value)
        labels.add(word_key(label))
        choices.append({"value": value, "label": label, "color": color})
    if not choices:
        problems["choices"] = ["Give at least one choice."]
    if len(choices) > MOST_CHOICES:
        problems["choices"] = [f"At most {MOST_CHOICES} choices."]
    return choices


def _currency(wanted: FieldSettings, problems: dict[str, list[str]]) -> str:
    if wanted.kind != FieldKind.MONEY:
        return ""
    currency = (wanted.currency or current_tenant().currency).strip().upper()
    if not _CURRENCY.fullmatch(currency):
        problems["currency"] = ["Must be a currency's three letters, such as USD."]
    return currency


def _set_roles(record: FieldDefinition, wanted: FieldSettings, problems: dict[str, list[str]]) -> None:
    known = set(Role.objects.values_list("code", flat=True)) if wanted.visible_to or wanted.editable_by else set()
    for name, codes in (("visible_to", wanted.visible_to), ("editable_by", wanted.editable_by)):
        unknown = sorted(set(codes) - known)
        if unknown:
            problems[name] = [f"Unknown role: {unknown[0][:40]}."]
        setattr(record, name, sorted(set(codes)))


def _default(record: FieldDefinition, wanted: FieldSettings, problems: dict[str, list[str]]) -> Any:
    if is_empty(wanted.default):
        return None
    if record.unique:
        problems["default"] = ["A unique field cannot have a default."]
        return None
    try:
        return read_value(record, wanted.default, people=people_by_name() if record.kind == FieldKind.USER else {})
    except ValueError as error:
        problems["default"] = [str(error)]
        return None
