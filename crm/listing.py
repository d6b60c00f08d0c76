"""Keyset-paged lists over any number of rows.

A list is the union of disjoint branches (a rep's own rows, the unassigned, the shared), each walked along the index of its
sort. Text and array conditions cannot use an index under row-level security, so they come as `TextCondition`: a function of
the owner answers the matching ids where they are few; a frequent word is met soon on the walk itself.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    BigIntegerField,
    BooleanField,
    DateTimeField,
    Expression,
    F,
    Field,
    FloatField,
    IntegerField,
    Model,
    Q,
    QuerySet,
    Value,
)

from crm.errors import InvalidInput

# The most ids the text index may answer; a word that more rows hold is found along the sort.
MOST_CANDIDATES = 10_000


@dataclass(frozen=True, kw_only=True)
class Sort:
    """An order offered. `column` needs an index (tenant, column, id) on live rows; nulls come last either way."""

    name: str
    column: str
    label: Any
    nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class TextCondition:
    """A condition whose operator the database may not push below its policies.

    `rows` filters rows already at hand. `candidates(most)` answers all matching ids, or None if they are more than `most`.
    `count(owner_id)` is the exact number of live rows of the tenant that match: all, or only that owner's and nobody's.
    """

    rows: Q | Expression
    candidates: Callable[[int], list[int] | None]
    count: Callable[[int | None], int]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Ids in order, and where the next page starts."""

    ids: list[int]
    next_cursor: str | None


class Condition(Expression):
    """Base of conditions that write their own SQL over a few parts."""

    def __init__(self, parts: Sequence[Any]) -> None:
        super().__init__(output_field=BooleanField())
        self.parts = list(parts)

    def get_source_expressions(self) -> list[Any]:
        return self.parts

    def set_source_expressions(self, exprs: Sequence[Any]) -> None:
        self.parts = list(exprs)


class RowCompare(Condition):
    """`(column, id) < (value, id)`, which walks an index from the very row, however many rows share the value."""

    def __init__(self, column: str, value: Any, pk: int, *, descending: bool, kind: "Field[Any, Any]") -> None:
        super().__init__([F(column), F("pk"), Value(value, output_field=kind), Value(pk)])
        self.operator = "<" if descending else ">"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        sql, params = [], []
        for part in self.parts:
            text, values = compiler.compile(part)
            sql.append(text)
            params.extend(values)
        return f"({sql[0]}, {sql[1]}) {self.operator} ({sql[2]}, {sql[3]})", params


class AmongIds(Condition):
    """`id = ANY(array)`: one parameter, however many ids."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__([F("pk"), Value(ids, output_field=ArrayField(BigIntegerField()))])

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        column, _ = compiler.compile(self.parts[0])
        array, params = compiler.compile(self.parts[1])
        return f"{column} = ANY({array}::bigint[])", list(params)


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a page ended. `in_nulls` says that the rows without a value had begun."""

    value: Any
    pk: int
    in_nulls: bool


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A sorted, filtered list ready to be paged or counted. `branches` must be disjoint."""

    branches: Sequence[QuerySet[Any]]
    sort: Sort
    descending: bool = True
    texts: Sequence[TextCondition] = field(default_factory=tuple)

    @property
    def model(self) -> type[Model]:
        return self.branches[0].model

    def page(self, *, limit: int, cursor: str | None = None, offset: int = 0) -> Page:
        """One page of at most `limit` ids. With `offset` the rows before are counted off, which deep down is slow."""
        start = self._read_cursor(cursor) if cursor else None
        wanted = offset + limit + 1
        return self.page_of(self.rows(wanted, start)[offset:], limit=limit)

    def page_of(self, rows: Sequence[tuple[Any, int]], *, limit: int) -> Page:
        """The page of rows of this list that somebody has read, one more than `limit` where there are more."""
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(ids=[pk for _, pk in rows], next_cursor=self._write_cursor(rows[-1]) if more and rows else None)

    def beside(self, record: Model) -> int | None:
        """The id that follows a record in this order, whether or not the record itself is in the list."""
        value = getattr(record, self.sort.column)
        start = Position(value=value, pk=record.pk, in_nulls=value is None)
        return next((pk for _, pk in self.rows(1, start)), None)

    def count(self) -> int:
        """The exact number of rows."""
        branches = self.narrowed() if self.texts else self.branches
        return sum(branch.order_by().count() for branch in branches)

    # --- reading ---

    def rows(self, wanted: int, start: Position | None) -> list[tuple[Any, int]]:
        """At most so many (value of the sort, id) from a position on."""
        return self._walk(self.narrowed() if self.texts else self.branches, wanted, start)

    def narrowed(self) -> list[QuerySet[Any]]:
        """The branches with each text condition as the few ids that match it, or on the rows themselves where many do."""
        branches = list(self.branches)
        for text in self.texts:
            ids = text.candidates(MOST_CANDIDATES)
            condition = text.rows if ids is None else AmongIds(ids)
            branches = [branch.filter(condition) for branch in branches]
        return branches

    def _walk(self, branches: Sequence[QuerySet[Any]], wanted: int, start: Position | None) -> list[tuple[Any, int]]:
        """Rows with a value in order, then the rows without one by id."""
        rows: list[tuple[Any, int]] = []
        if start is None or not start.in_nulls:
            rows = self._segment(branches, wanted, start, nulls=False)
        if self.sort.nullable and len(rows) < wanted:
            resume = start if start is not None and start.in_nulls else None
            rows += self._segment(branches, wanted - len(rows), resume, nulls=True)
        return rows

    def _segment(self, branches: Sequence[QuerySet[Any]], wanted: int, start: Position | None, *, nulls: bool) -> list[tuple[Any, int]]:
        column, sign = self.sort.column, "-" if self.descending else ""
        order = [f"{sign}pk"] if nulls else [f"{sign}{column}", f"{sign}pk"]
        parts = []
        for branch in branches:
            rows = branch.filter(**{f"{column}__isnull": nulls}) if self.sort.nullable else branch
            if start is not None and nulls:
                rows = rows.filter(**{"pk__lt" if self.descending else "pk__gt": start.pk})
            elif start is not None:
                kind = self.model._meta.get_field(column)
                rows = rows.filter(RowCompare(column, start.value, start.pk, descending=self.descending, kind=kind))  # type: ignore[arg-type]
            # A row without a value is ordered by its id alone, so that the index still serves.
            parts.append(rows.order_by(*([f"{sign}{column}"] if nulls else []), *order).values_list(column, "pk")[:wanted])
        if len(parts) == 1:
            return list(parts[0])
        return list(parts[0].union(*parts[1:], all=True).order_by(*([] if nulls else [f"{sign}{column}"]), f"{sign}pk")[:wanted])

    # --- cursors ---

    def _write_cursor(self, row: tuple[Any, int]) -> str:
        value, pk = row
        text = orjson.dumps([self.sort.name, self.descending, value, pk])
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    def _read_cursor(self, cursor: str) -> Position:
        try:
            name, descending, value, pk = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            value = self._value_of(value)
        except (binascii.Error, ValueError, TypeError):
            raise InvalidInput({"cursor": ["Not a cursor of this list."]}) from None
        if name != self.sort.name or descending != self.descending or type(pk) is not int or not 0 <= pk < 2**63:
            raise InvalidInput({"cursor": ["This cursor belongs to another sort order."]})
        return Position(value=value, pk=pk, in_nulls=value is None)

    def _value_of(self, value: Any) -> Any:
        kind = self.model._meta.get_field(self.sort.column)
        if value is None and self.sort.nullable:
            return None
        if isinstance(kind, DateTimeField):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("naive")
            return moment
        if isinstance(kind, IntegerField | FloatField):
            if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**31 - 1:
                raise ValueError("number")
            return value
        if not isinstance(value, str) or "\x00" in value:
            raise ValueError("text")
        return value
