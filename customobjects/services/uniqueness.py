"""Values that one record alone may hold. A table with a unique key decides, whoever writes, however many at once.

A record that was deleted, or no longer holds the value, gives it up to the next who wants it.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from crm.tenancy.scope import current_scope, current_tenant_id
from customobjects.errors import NotUnique
from customobjects.models import UNIQUE_LENGTH, FieldDefinition, UniqueValue
from customobjects.selectors import definitions, model_of


def unique_definitions(model: str) -> list[FieldDefinition]:
    return [item for item in definitions(model).active if item.unique]


def taken(item: FieldDefinition) -> dict[str, list[str]]:
    """How it is said that another record holds the value."""
    return {item.problem_name: [f"Another record has this “{item.label}” already."]}


def holders(*, model: str, values: Sequence[tuple[FieldDefinition, Any]]) -> list[int | None]:
    """For each value of a unique field, the record that holds it now.

    Asked for once for the work in progress, until claims are settled: whoever asks for many at once spares a question a row.
    """
    known: dict[tuple[int, bytes], int | None] = current_scope().memo.setdefault(_known_holders(model), {})
    keys = [(item.pk, orjson.dumps(value)) for item, value in values]
    unknown = {key: value for key, (_item, value) in zip(keys, values, strict=True) if key not in known}
    if unknown:
        values_wanted = Jsonb(list(unknown.values()), dumps=orjson.dumps)
        wanted: dict[str, Any] = {"ids": [pk for pk, _text in unknown], "values": values_wanted, "tenant": current_tenant_id()}
        with connection.cursor() as cursor:
            cursor.execute(_built(_HOLDERS, model), wanted)
            found = dict(cursor.fetchall())
        known.update({key: found.get(place) for place, key in enumerate(unknown, start=1)})
    return [known[key] for key in keys]


def _known_holders(model: str) -> str:
    return f"customobjects.holders.{model}"


def settle_claims(*, model: str, record_ids: Sequence[int]) -> list[tuple[FieldDefinition, int]]:
    """Bring the claims of changed or new records up to what they hold now. Answers each field and record whose value another holds.

    Waits for whoever is writing the same value at this moment.
    """
    unique = unique_definitions(model)
    if not unique or not record_ids:
        return []
    current_scope().memo.pop(_known_holders(model), None)
    given = {"records": list(record_ids), "tenant": current_tenant_id(), **_fields(unique)}
    with connection.cursor() as cursor:
        cursor.execute(_built(_RELEASE, model), given)
        cursor.execute(_built(_CLAIM, model), given)
        # Each statement sees what was committed while the one before it waited.
        cursor.execute(_built(f"{_REFUSED} FOR UPDATE OF claim", model), given)
        if not cursor.fetchall():
            return []
        cursor.execute(_built(_TAKE_OVER, model), given)
        cursor.execute(_built(_REFUSED, model), given)
        by_id = {item.pk: item for item in unique}
        return [(by_id[pk], record_id) for pk, record_id in cursor.fetchall()]


def claim_all(item: FieldDefinition) -> None:
    """Let every record claim what it holds in a field that becomes unique. Raises NotUnique where values repeat."""
    given = {"records": None, "tenant": current_tenant_id(), **_fields([item])}
    with connection.cursor() as cursor:
        cursor.execute(_built(_REPEATED, item.model), given)
        repeated: int = cursor.fetchone()[0]
        if repeated:
            raise NotUnique(f"{repeated:,} values stand in more than one record. Make them differ first.", field="unique")
        cursor.execute(_built(_CLAIM, item.model), given)


def release_all(item: FieldDefinition) -> None:
    UniqueValue.objects.filter(definition=item).delete()


def _fields(items: Sequence[FieldDefinition]) -> dict[str, Any]:
    return {"ids": [item.pk for item in items], "keys": [item.key for item in items]}


# --- statements ---


def _built(statement: str, model: str) -> sql.Composed:
    """A statement about the records of a model. Tenant and policies hold as everywhere."""
    meta = model_of(model)._meta
    soft = any(column.name == "deleted_at" for column in meta.concrete_fields)
    parts = {
        "wanted": sql.SQL(_WANTED),
        "held": sql.SQL(_HELD),
        "table": sql.Identifier(meta.db_table),
        "claims": sql.Identifier(UniqueValue._meta.db_table),
        "length": sql.Literal(UNIQUE_LENGTH),
        "live": sql.SQL("AND record.deleted_at IS NULL" if soft else ""),
        "holder_live": sql.SQL("AND holder.deleted_at IS NULL" if soft else ""),
        "fields": sql.Identifier(FieldDefinition._meta.db_table),
    }
    for name in ("wanted", "held"):
        parts[name] = parts[name].format(**{key: part for key, part in parts.items() if key not in ("wanted", "held")})  # type: ignore[attr-defined]
    return sql.SQL(statement).format(**parts)  # type: ignore[arg-type]


# What records hold in unique fields: texts and numbers only; what an arrival brought in another shape claims nothing.
_WANTED = """
SELECT field.id AS definition_id, left(lower(record.custom_fields ->> field.key), {length}) AS value, record.id AS record_id
FROM unnest(%(ids)s::bigint[], %(keys)s::text[]) AS field (id, key)
JOIN {table} AS record ON record.tenant_id = %(tenant)s AND (%(records)s::bigint[] IS NULL OR record.id = ANY(%(records)s)) {live}
WHERE jsonb_typeof(record.custom_fields -> field.key) IN ('string', 'number')
"""
# Whether the holder of a claim holds it still.
_HELD = """
EXISTS (
    SELECT FROM {table} AS holder JOIN {fields} AS field ON field.tenant_id = holder.tenant_id AND field.id = claim.definition_id
    WHERE holder.tenant_id = claim.tenant_id AND holder.id = claim.record_id {holder_live}
    AND left(lower(holder.custom_fields ->> field.key), {length}) = claim.value)
"""
_RELEASE = """
DELETE FROM {claims} AS claim
WHERE claim.tenant_id = %(tenant)s AND claim.definition_id = ANY(%(ids)s) AND claim.record_id = ANY(%(records)s) AND NOT {held}
"""
_CLAIM = """
INSERT INTO {claims} (tenant_id, definition_id, value, record_id)
SELECT DISTINCT ON (definition_id, value) %(tenant)s, definition_id, value, record_id FROM ({wanted}) AS wanted
ORDER BY definition_id, value, record_id
ON CONFLICT (tenant_id, definition_id, value) DO NOTHING
"""
# What the holder holds no longer goes to the first who wants it.
_TAKE_OVER = """
UPDATE {claims} AS claim SET record_id = wanted.record_id
FROM (SELECT DISTINCT ON (definition_id, value) * FROM ({wanted}) AS every ORDER BY definition_id, value, record_id) AS wanted
WHERE claim.tenant_id = %(tenant)s AND claim.definition_id = wanted.definition_id AND claim.value = wanted.value AND NOT {held}
"""
_REFUSED = """
SELECT wanted.definition_id, wanted.record_id FROM ({wanted}) AS wanted
JOIN {claims} AS claim ON claim.tenant_id = %(tenant)s AND claim.definition_id = wanted.definition_id AND claim.value = wanted.value
WHERE claim.record_id <> wanted.record_id
"""
_REPEATED = """
SELECT count(*) FROM (SELECT FROM ({wanted}) AS wanted GROUP BY definition_id, value HAVING count(*) > 1) AS repeated
"""
_HOLDERS = """
SELECT given.place, claim.record_id
FROM jsonb_array_elements(%(values)s) WITH ORDINALITY AS element (value, place)
JOIN unnest(%(ids)s::bigint[]) WITH ORDINALITY AS given (definition_id, place) ON given.place = element.place
JOIN {claims} AS claim ON claim.tenant_id = %(tenant)s AND claim.definition_id = given.definition_id
    AND claim.value = left(lower(element.value #>> '{{}}'), {length})
WHERE {held}
"""
