"""Reads of operations."""

import re
from collections.abc import Sequence

from django.db.models import Q, QuerySet

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.operations.enums import RowOutcome, State
from crm.operations.models import Operation, OperationRow
from crm.registry import hidden_columns


def operations_visible_to(actor: Actor) -> QuerySet[Operation]:
    """One's own, or all of the tenant's with the permission."""
    operations = Operation.objects.select_related("created_by").exclude(state=State.DRAFT)
    return operations if actor.can("identity.see_all_operations") else operations.filter(created_by_id=actor.user_id)


def drafts_of(actor: Actor, *, kind: str) -> QuerySet[Operation]:
    """What somebody is still putting together, newest first. Nobody else sees it."""
    return Operation.objects.filter(kind=kind, state=State.DRAFT, created_by_id=actor.user_id)


def rows_after(
    operation: Operation, *, outcome: RowOutcome = RowOutcome.FAILED, cursor: str = "", limit: int
) -> tuple[list[OperationRow], str | None]:
    """One page of an operation's kept rows, and the cursor of the next. The cursor names the last row read."""
    rows = OperationRow.objects.filter(operation=operation, outcome=outcome).order_by("row", "id")
    if cursor:
        match = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", cursor)
        if match is None:
            raise InvalidInput({"cursor": ["Not a cursor of this list."]})
        row, pk = int(match[1]), int(match[2])
        rows = rows.filter(Q(row__gt=row) | Q(row=row, pk__gt=pk), row__gte=row)
    page = list(rows[: limit + 1])
    following = f"{page[limit - 1].row}-{page[limit - 1].pk}" if len(page) > limit else None
    return page[:limit], following


HIDDEN_PROBLEM = "There is a problem with a field that your role may not see."


def rows_seen_by(actor: Actor, operation: Operation, rows: Sequence[OperationRow]) -> list[OperationRow]:
    """Kept rows as the actor may read them: without the cells, and what was said, of fields hidden from the actor."""
    hidden = frozenset().union(*(hide(operation, actor) for hide in hidden_columns.of(operation.kind)))
    for row in rows if hidden else ():
        row.values = {name: value for name, value in row.values.items() if name not in hidden}
        if row.field in hidden:
            row.field, row.message = "", HIDDEN_PROBLEM
    return list(rows)
