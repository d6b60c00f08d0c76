"""Custom fields of leads: unique ones claimed with every write, new ones made from an import's columns."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from audit.selectors import Change, FieldChange
from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import CONDITIONS
from crm.operations.models import Operation
from crm.tenancy.scope import current_scope
from customobjects.models import FieldDefinition
from customobjects.selectors import changed_values, definitions, hidden_keys, were_read, without_hidden
from customobjects.services.definitions import ENDINGS, FieldSettings, save_definition
from customobjects.services.uniqueness import holders, settle_claims, taken, unique_definitions
from leads.models import Lead
from leads.services.drafts import KEPT_AS_SENT, RECORDS
from leads.services.import_rows import CUSTOM
from leads.services.imports import configure_import

# Maps in which custom fields may stand.
_FREE = ("custom_fields", "raw_field_data")
# The values that people wanted unique leads to hold, in the work in progress: (field, value) → lead.
_WANTED = "leads.unique_values_wanted"


def refuse_taken_values(lead: Lead, before: Mapping[str, Any], actor: Actor) -> None:
    """A guard: refuse a change that gives a lead a unique value which another lead holds, or was just given."""
    was = before["custom_fields"]
    if lead.custom_fields == was:
        return
    changed = [
        (item, lead.custom_fields[item.key])
        for item in unique_definitions(RECORDS)
        if lead.custom_fields.get(item.key) not in (None, was.get(item.key))
    ]
    if not changed:
        return
    wanted: dict[tuple[int, str], int] = current_scope().memo.setdefault(_WANTED, {})
    for (item, value), holder in zip(changed, holders(model=RECORDS, values=changed), strict=True):
        mine = wanted.setdefault((item.pk, str(value).lower()), lead.pk)
        if holder not in (None, lead.pk) or mine != lead.pk:
            raise InvalidInput(taken(item))


def claim_for_new(*, lead_ids: Sequence[int]) -> None:
    """Claim the unique values of new leads. One that is held already is refused, unless its sender could not be told."""
    # What was captured without a look at the definitions holds no value of any.
    if were_read(RECORDS):
        refused = settle_claims(model=RECORDS, record_ids=lead_ids)
        if refused and not current_scope().memo.get(KEPT_AS_SENT):
            raise InvalidInput(taken(refused[0][0]))


def claim_for_changed(*, lead_ids: Sequence[int]) -> None:
    """Claim and release the unique values of changed leads.

    Refused is what somebody asked for just now and another lead holds. What came back by an undo stays with both.
    """
    refused = settle_claims(model=RECORDS, record_ids=lead_ids)
    if refused:
        asked: set[tuple[int, int]] = {(field_id, pk) for (field_id, _value), pk in current_scope().memo.get(_WANTED, {}).items()}
        problem = next((item for item, pk in refused if (item.pk, pk) in asked), None)
        if problem is not None:
            raise InvalidInput(taken(problem))


def map_with_new_fields(*, operation: Operation, mapping: Mapping[str, str], new: Mapping[str, FieldSettings], by: Actor) -> Operation:
    """Set an import's mapping, having made the fields that its columns are to fill: `new` is header → field.

    Raises what making a field does, with the problem at the header, and what `configure_import` does.
    """
    made: dict[str, FieldDefinition] = {}
    for header, wanted in new.items():
        made[header] = save_definition(definition=None, model=RECORDS, wanted=wanted, by=by)
    chosen = {**mapping, **{header: f"{CUSTOM}{item.key}" for header, item in made.items()}}
    return configure_import(operation=operation, mapping=chosen, by=by)


# --- what a reader may know ---


def visible_values(values: Any, reader: Actor | None) -> Any:
    """What was sent or is kept, without the custom fields that the reader may not see."""
    return without_hidden(RECORDS, values, reader or current_scope().actor) if values else values


def visible_change(change: Change, reader: Actor | None) -> Change | None:
    """A change with each custom field told by itself, and those hidden from the reader left out. None where nothing is left."""
    if not any(item.name in _FREE for item in change.fields):
        return change
    fields: list[FieldChange] = []
    for item in change.fields:
        if item.name == "custom_fields":
            steps = changed_values(RECORDS, item.old or {}, item.new or {}, reader or current_scope().actor)
            fields += [FieldChange(name=f"custom_fields.{key}", label=label, old=old, new=new) for key, label, old, new in steps]
        elif item.name in _FREE:
            old, new = visible_values(item.old, reader), visible_values(item.new, reader)
            fields += [FieldChange(name=item.name, label=item.label, old=old, new=new)] if old != new else []
        else:
            fields.append(item)
    return replace(change, fields=tuple(fields)) if fields else None


def hidden_in_rows(operation: Operation, reader: Actor) -> frozenset[str]:
    """What a reader may not see of an operation's failed rows: columns that fill custom fields hidden from the reader, and these fields' names.

    Who gave the file knows what is in it, and needs its failed rows whole to mend them.
    """
    hidden = hidden_keys(RECORDS, reader)
    if not hidden or (reader.user_id is not None and operation.created_by_id == reader.user_id):
        return frozenset()
    known, mapping = definitions(RECORDS), operation.params.get("mapping", {})
    names = {known.by_key[key].problem_name for key in hidden}
    for header in operation.params.get("layout", {}).get("headers", ()):
        code = mapping.get(header, f"{CUSTOM}{header}")
        item = known.find(code.removeprefix(CUSTOM)[:100]) if code.startswith(CUSTOM) else None
        if item is not None and item.key in hidden:
            names |= {header, code}
    return frozenset(names)


def visible_state(state: Mapping[str, Any], reader: Actor) -> dict[str, Any]:
    """A list's parameters without those that name custom fields hidden from their reader.

    Nested conditions that name one go as a whole: without a part they would mean something else.
    """
    known = definitions(RECORDS)
    bases = {known.by_key[key].name for key in hidden_keys(RECORDS, reader)}
    if not bases:
        return dict(state)
    names = bases | {f"{base}_{ending}" for base in bases for ending in ENDINGS}
    kept: dict[str, Any] = {}
    for name, value in state.items():
        if name in names or (name == CONDITIONS and _may_name(value, names)):
            continue
        if name not in _COLUMNS:
            kept[name] = value
        elif isinstance(value, list):
            kept[name] = [column for column in value if _column(column) not in bases]
        elif _column(value) not in bases:
            kept[name] = value
    return {name: value for name, value in kept.items() if value != []}


# Parameters that name columns.
_COLUMNS = ("sort", "group", "col", "w")


def _column(text: Any) -> str:
    """A column's name without the sign of a sort, or a width that follows it."""
    return str(text).lstrip("-").partition(":")[0]


def _may_name(conditions: Any, names: Set[str]) -> bool:
    """Whether nested conditions hold one of these texts, or cannot be read."""
    try:
        waiting = [json.loads(conditions)]
    except (TypeError, ValueError, RecursionError):
        return True
    while waiting:
        part = waiting.pop()
        if isinstance(part, str) and part in names:
            return True
        if isinstance(part, dict | list):
            waiting += part.values() if isinstance(part, dict) else part
    return False
