"""What goes along when two records become one: rows that point at the one, by their foreign key."""

from typing import Any

from django.apps import apps
from django.db import connection
from psycopg import sql

from crm.actors import Actor
from crm.registry import MergeParticipant, Text
from crm.tenancy.scope import current_tenant_id


def moves_with(model: str, field: str, *, label: Text, unique_with: tuple[str, ...] = ()) -> MergeParticipant:
    """Rows of a model that follow its foreign key `field` from one record to the other.

    Of rows that may stand once with the values of `unique_with`, those the target has already stay where they are.
    """

    def count(*, source_ids: list[int]) -> int:
        return apps.get_model(model)._default_manager.filter(**{f"{field}__in": source_ids}).count()

    def move(*, source_id: int, target_id: int, by: Actor) -> list[int]:
        return _move(model, field, unique_with, source_id=source_id, target_id=target_id)

    def move_back(*, ids: list[int], source_id: int, target_id: int, by: Actor) -> list[int]:
        return _move(model, field, (), source_id=target_id, target_id=source_id, ids=ids)

    return MergeParticipant(name=model, label=label, count=count, move=move, move_back=move_back)


def _move(
    model: str, field: str, unique_with: tuple[str, ...], *, source_id: int, target_id: int, ids: list[int] | None = None
) -> list[int]:
    meta = apps.get_model(model)._meta
    column = sql.Identifier(str(meta.get_field(field).column))  # type: ignore[union-attr]
    conditions: list[sql.Composable] = [sql.SQL("moved.tenant_id = %(tenant)s AND moved.{} = %(source)s").format(column)]
    if ids is not None:
        conditions.append(sql.SQL("moved.id = ANY(%(ids)s)"))
    if unique_with:
        same = sql.SQL(" AND ").join(
            sql.SQL("there.{0} IS NOT DISTINCT FROM moved.{0}").format(sql.Identifier(str(meta.get_field(name).column)))  # type: ignore[union-attr]
            for name in unique_with
        )
        conditions.append(
            sql.SQL(
                "NOT EXISTS (SELECT FROM {table} AS there WHERE there.tenant_id = %(tenant)s AND there.{column} = %(target)s AND {same})"
            ).format(table=sql.Identifier(meta.db_table), column=column, same=same)
        )
    statement = sql.SQL("UPDATE {table} AS moved SET {column} = %(target)s WHERE {conditions} RETURNING moved.id").format(
        table=sql.Identifier(meta.db_table), column=column, conditions=sql.SQL(" AND ").join(conditions)
    )
    given: dict[str, Any] = {"tenant": current_tenant_id(), "source": source_id, "target": target_id, "ids": ids}
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return sorted(row[0] for row in cursor.fetchall())
