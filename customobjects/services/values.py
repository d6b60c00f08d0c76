"""Values of custom fields on their way in: read by kind, checked against who may write them, with what a new record must have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.identity.models import User
from crm.tenancy.scope import current_scope
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import definitions, hidden_keys, may_edit
from customobjects.services.kinds import check_free_value, is_empty, read_value, storable

NOT_YOURS = "Your role may not change this field."
REQUIRED = "This field is required."


@dataclass(kw_only=True)
class Cleaned:
    """What was given, in stored form. `cleared` are the keys that are to hold nothing, `warnings` tell what was kept as it was sent.

    `missing` and `defaults` count for a new record alone.
    """

    values: dict[str, Any] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)
    problems: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    def merged(self, existing: Mapping[str, Any]) -> dict[str, Any]:
        """The record's values with those given over them."""
        return {key: value for key, value in {**existing, **self.values}.items() if key not in self.cleared}


class Cleaner:
    """Reads the values of many records for one actor. What it needs is read when it is made, so any thread may use it."""

    def __init__(self, *, model: str, by: Actor | None) -> None:
        self.known = definitions(model)
        active = self.known.active
        self.locked = frozenset(item.key for item in active if by is not None and not may_edit(item, by))
        self.hidden = hidden_keys(model, by) if by is not None else frozenset()
        self.people = people_by_name() if any(item.kind == FieldKind.USER for item in active) else {}
        self._wanted = [item for item in active if item.required or item.default is not None]

    def clean(self, given: Mapping[str, Any], *, existing: Mapping[str, Any] | None = None, strict: bool = True) -> Cleaned:
        """Read what a sender gave. Keys that are no field are kept as they are.

        A `strict` sender can correct itself and is told; of others everything is kept, what is not of its field's kind as it
        was sent. A value that is there already is never held against anybody.
        """
        cleaned, before = Cleaned(), existing or {}
        for name, item, value in self._in_order(given):
            key = item.key if item else name
            if item is None or not item.is_active:
                self._keep_free(name, item, value, cleaned, before, existing is not None, strict=strict)
            elif strict and key in self.locked:
                if value != before.get(key) and not (is_empty(value) and is_empty(before.get(key))):
                    cleaned.problems[item.problem_name] = [NOT_YOURS]
            elif is_empty(value):
                cleaned.cleared.add(key)
                cleaned.values.pop(key, None)
                if strict and item.required and not is_empty(before.get(key)):
                    cleaned.problems[item.problem_name] = [REQUIRED]
            else:
                cleaned.cleared.discard(key)
                self._read(item, value, cleaned, before, strict=strict)
        if existing is None:
            self._for_a_new_record(cleaned)
        return cleaned

    def _in_order(self, given: Mapping[str, Any]) -> list[tuple[str, FieldDefinition | None, Any]]:
        """A key itself comes after the other names of its field, so that it counts."""
        found = [(name, self.known.find(name), value) for name, value in given.items()]
        return sorted(found, key=lambda entry: entry[1] is not None and entry[1].key == entry[0])

    def _keep_free(
        self,
        name: str,
        item: FieldDefinition | None,
        value: Any,
        cleaned: Cleaned,
        before: Mapping[str, Any],
        editing: bool,
        *,
        strict: bool,
    ) -> None:
        if strict and item is not None and item.key in self.hidden:
            if value != before.get(name):
                cleaned.problems[item.problem_name] = [NOT_YOURS]
        elif value is None and editing:
            cleaned.cleared.add(name)
        elif isinstance(value, str):
            cleaned.values[name] = value
        else:
            self._keep_other(name, value, cleaned, strict=strict)

    def _keep_other(self, name: str, value: Any, cleaned: Cleaned, *, strict: bool) -> None:
        try:
            cleaned.values[name] = value
            check_free_value(value)
        except ValueError as error:
            if strict:
                cleaned.problems[f"custom_fields.{name[:60]}"] = [str(error)]
            else:
                cleaned.values[name] = storable(value)

    def _read(self, item: FieldDefinition, value: Any, cleaned: Cleaned, before: Mapping[str, Any], *, strict: bool) -> None:
        if item.key in before and _same(before[item.key], value):
            cleaned.values[item.key] = before[item.key]
            return
        try:
            cleaned.values[item.key] = read_value(item, value, people=self.people)
        except ValueError as error:
            if strict:
                cleaned.problems[item.problem_name] = [str(error)]
            else:
                cleaned.values[item.key] = storable(value)
                cleaned.warnings.append(f"{item.label} kept as it was sent: {error}")

    def _for_a_new_record(self, cleaned: Cleaned) -> None:
        for item in self._wanted:
            if is_empty(cleaned.values.get(item.key)) and item.problem_name not in cleaned.problems:
                # What was emptied by hand stays empty.
                if item.default is not None and item.key not in cleaned.cleared:
                    cleaned.defaults[item.key] = item.default
                elif item.required and item.key not in self.locked:
                    cleaned.missing[item.problem_name] = [REQUIRED]


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one type: yes is not the number 1."""
    return type(one) is type(other) and bool(one == other)


def people_by_name() -> dict[str, int]:
    """Who can be named in a field, by e-mail and by id."""
    users = list(User.objects.filter(is_active=True).order_by().values_list("email", "pk"))
    return {email.casefold(): pk for email, pk in users} | {str(pk): pk for _email, pk in users}


def cleaner_for(*, model: str, by: Actor | None) -> Cleaner:
    """The cleaner of an actor, made once for the work in progress. Without an actor it is the system's."""
    memo = current_scope().memo.setdefault(f"customobjects.cleaners.{model}", {})
    key = (by.user_id, by.all_powerful) if by is not None else None
    if key not in memo:
        memo[key] = Cleaner(model=model, by=by)
    cleaner: Cleaner = memo[key]
    return cleaner


def clean_values(
    *,
    model: str,
    values: Mapping[str, Any],
    existing: Mapping[str, Any] | None = None,
    partial: bool = False,
    strict: bool = True,
    by: Actor | None,
) -> dict[str, Any]:
    """The values a record is to have, in stored form.

    A new record (`existing` is None) gets its defaults and must have what is required. `partial` sets the keys given and
    leaves the others; without it, those the actor may change and did not give are dropped. Raises InvalidInput by
    `custom_fields.<key>`.
    """
    cleaner = cleaner_for(model=model, by=by)
    if existing is not None and not partial:
        kept = cleaner.locked | cleaner.hidden
        values = {**{key: None for key in existing if key not in kept}, **values}
    cleaned = cleaner.clean(values, existing=existing, strict=strict)
    problems = {**cleaned.problems, **(cleaned.missing if strict else {})}
    if problems:
        raise InvalidInput(problems)
    if existing is None:
        return {**(cleaned.defaults if strict else {}), **cleaned.merged({})}
    return cleaned.merged(existing)
