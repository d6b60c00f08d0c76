"""History written by the database: statement-level triggers keep the old row of every update and delete.

The context (actor, door, request, operation) is set by `tenant_scope()` for the transaction, so COPY, raw SQL and bulk
paths carry it like any other.
"""

from collections.abc import Callable
from typing import Any

import pghistory
from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from pghistory.models import Event

from crm.tenancy.managers import TenantManager


class History(Event):
    """Base of every history model: one row as it was before a change.

    `pgh_operation` is the operation of the context in a column of its own: under row-level security an index on an
    expression over the context would never be used.
    """

    pgh_id = models.BigAutoField(primary_key=True)
    pgh_operation = models.GeneratedField(
        expression=Cast(KeyTextTransform("operation", "pgh_context"), models.BigIntegerField()),
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
    )

    objects = TenantManager()  # type: ignore[misc]

    class Meta:
        abstract = True


def track(*, exclude: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Keep the history of a tenant-owned model. `exclude` names machine-computed and derived fields that make no history."""
    decorator: Callable[[Any], Any] = pghistory.track(
        pghistory.UpdateEvent(label="changed", row=pghistory.Old, level=pghistory.Statement),
        pghistory.DeleteEvent(label="deleted", row=pghistory.Old, level=pghistory.Statement),
        exclude=list(exclude),
        obj_field=pghistory.ObjForeignKey(related_name="history", db_index=False),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,  # type: ignore[arg-type]
        base_model=History,
        meta={
            "indexes": [
                models.Index(fields=["tenant", "pgh_obj", "-pgh_id"]),
                models.Index(fields=["tenant", "-pgh_created_at"]),
                models.Index(
                    fields=["tenant", "pgh_operation", "pgh_obj"], name="%(class)s_op", condition=models.Q(pgh_operation__isnull=False)
                ),
            ]
        },
    )
    return decorator
