"""Write many rows at once: COPY into a temporary table, then one INSERT or UPDATE from it.

Row-level security refuses COPY into a policed table; from the temporary table the rows pass the policies, the triggers of
history and the checks like any others. A record's own `save()` rules do not run: callers are services that keep them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, LiteralString, TypeVar, cast

import orjson
from django.db import connection
from django.db.models import Field, JSONField, Model
from django.db.models.fields.generated import GeneratedField
from psycopg import sql
from psycopg.types.json import Jsonb

from crm.tenancy.scope import current_tenant_id

M = TypeVar("M", bound=Model)


def insert_records(records: Sequence[M]) -> None:
    """Insert unsaved records of one model, and set their ids. Their order is the order of the ids."""
    if not records:
        return
    model = type(records[0])
    fields = [field for field in _columns(model) if not field.primary_key]
    _stage(model, fields, records, add=True)
    statement = sql.SQL("INSERT INTO {table} ({names}) SELECT {names} FROM {stage} ORDER BY place RETURNING {pk}").format(
        table=sql.Identifier(model._meta.db_table), names=_listed(fields), stage=_stage_name(model, fields), pk=_named(model._meta.pk)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        for record, (pk,) in zip(records, cursor.fetchall(), strict=True):
            record.pk = pk
            record._state.adding, record._state.db = False, connection.alias


def update_records(records: Sequence[M], names: Sequence[str]) -> int:
    """Write the named fields of saved records of the open tenant. Answers how many rows were there."""
    if not records or not names:
        return 0
    model = type(records[0])
    by_name = {name: field for field in _columns(model) for name in (field.name, field.attname)}
    pk = model._meta.pk
    wanted = list(dict.fromkeys(by_name[name] for name in names))
    fields = [pk, *wanted]
    _stage(model, fields, records, add=False)
    sets: list[sql.Composable] = [sql.SQL("{0} = s.{0}").format(_named(field)) for field in wanted]
    statement = sql.SQL("UPDATE {table} AS t SET {sets} FROM {stage} AS s WHERE t.{pk} = s.{pk} AND t.tenant_id = %s").format(
        table=sql.Identifier(model._meta.db_table), sets=sql.SQL(", ").join(sets), stage=_stage_name(model, fields), pk=_named(pk)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [current_tenant_id()])
        return cursor.rowcount


def _columns(model: type[Model]) -> list["Field[Any, Any]"]:
    return [field for field in model._meta.concrete_fields if not isinstance(field, GeneratedField)]


def _rows(records: Sequence[Model], fields: Sequence["Field[Any, Any]"], *, add: bool) -> Iterator[list[Any]]:
    """The records' values in the fields' order, as COPY writes them. Most are read as they stand, which is quick."""
    value_of = attrgetter(*(field.attname for field in fields))
    special = [
        (place, field, isinstance(field, JSONField))
        for place, field in enumerate(fields)
        if isinstance(field, JSONField) or type(field).pre_save is not Field.pre_save
    ]
    for record in records:
        row = list(value_of(record)) if len(fields) > 1 else [value_of(record)]
        for place, field, is_json in special:
            value = field.pre_save(record, add)
            row[place] = Jsonb(value, dumps=orjson.dumps) if is_json and value is not None else value
        yield row


def _named(field: "Field[Any, Any]") -> sql.Identifier:
    return sql.Identifier(str(field.column))


def _listed(fields: Sequence["Field[Any, Any]"]) -> sql.Composed:
    names: list[sql.Composable] = [_named(field) for field in fields]
    return sql.SQL(", ").join(names)


def _stage_name(model: type[Model], fields: Sequence["Field[Any, Any]"]) -> sql.Identifier:
    # The same columns share a table for as long as the connection lives.
    mark = hashlib.blake2s(",".join(str(field.column) for field in fields).encode(), digest_size=5).hexdigest()
    return sql.Identifier("pg_temp", f"stage_{model._meta.db_table[:40]}_{mark}")


def _stage(model: type[Model], fields: Sequence["Field[Any, Any]"], records: Sequence[Model], *, add: bool) -> None:
    """Fill the temporary table, making it where this connection has none. It empties itself at commit."""
    stage = _stage_name(model, fields)
    columns: list[sql.Composable] = [sql.SQL("{} {}").format(_named(field), sql.SQL(_type(field))) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} (place integer, {}) ON COMMIT DELETE ROWS").format(
                stage, sql.SQL(", ").join(columns)
            )
        )
        cursor.execute(sql.SQL("TRUNCATE {}").format(stage))
        with cursor.copy(sql.SQL("COPY {} (place, {}) FROM STDIN").format(stage, _listed(fields))) as copy:
            for place, row in enumerate(_rows(records, fields, add=add)):
                copy.write_row([place, *row])


def _type(field: "Field[Any, Any]") -> LiteralString:
    """The column's type alone, without identity and checks: what refers to a key has the key's type."""
    kind = field.rel_db_type(connection) if field.primary_key else field.db_type(connection)
    return cast("LiteralString", kind)
