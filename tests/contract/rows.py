"""A row of any model, built from its fields alone, so that a new model takes part in the contract tests by itself."""

import datetime as dt
import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from crm.tenancy.models import Tenant

# What the fields do not tell: values that a constraint asks for.
ASKED_FOR: dict[str, dict[str, Any]] = {
    "customobjects.FieldDefinition": {"key": "field"},
    # Only what is done has one.
    "dialer.QueueEntry": {"disposition": ""},
    "leads.LeadShare": {"team": None},
    # The trigger began the lead's one open stay already.
    "pipeline.LeadStage": {"exited_at": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)},
}
OPTIONAL_LINKS = {"leads.LeadShare": {"user"}}


class RowMaker:
    """Makes one row of each model for a tenant, and those it points to. The tenant must be open."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.number = tenant.pk * 1000
        self.made: dict[type[models.Model], models.Model] = {}

    def row(self, model: type[models.Model]) -> Any:
        """The one row of this model, made when first asked for."""
        if model not in self.made:
            self.made[model] = self.fresh(model)
        return self.made[model]

    def fresh(self, model: type[models.Model]) -> Any:
        self.number += 1
        values = {}
        used: set[models.Model] = set()
        for field in model._meta.concrete_fields:
            if field.primary_key or field.generated or field.name == "pgh_created_at":
                continue
            if field.name in ASKED_FOR.get(model._meta.label, {}):
                values[field.name] = ASKED_FOR[model._meta.label][field.name]
            elif field.name == "tenant":
                values["tenant"] = self.tenant
            elif isinstance(field, models.ForeignKey):
                self._link(model, field, values, used)
            elif (
                not field.null
                and not (field.has_default() or isinstance(field, models.FileField))
                and field.db_default is models.NOT_PROVIDED
            ):
                values[field.name] = self._value(field)
        row = model(**values)
        row.save(force_insert=True)
        return row

    def _link(self, model: type[models.Model], field: Any, values: dict[str, Any], used: set[models.Model]) -> None:
        """Link what must be linked, and in history what was. Two links to one model get two rows: a move has two ends."""
        needed = not field.null or hasattr(model, "pgh_tracked_model") or field.name in OPTIONAL_LINKS.get(model._meta.label, set())
        if not needed or field.related_model is model:
            return
        target = self.row(field.related_model)
        if target in used:
            target = self.fresh(field.related_model)
        used.add(target)
        values[field.name] = target

    def _value(self, field: Any) -> Any:
        if isinstance(field, ArrayField):
            return []
        if field.choices:
            return field.flatchoices[0][0]
        makers: list[tuple[tuple[type, ...], Any]] = [
            ((models.EmailField,), f"row{self.number}@example.com"),
            ((models.UUIDField,), uuid.uuid4()),
            ((models.JSONField,), {}),
            ((models.BooleanField,), False),
            ((models.DurationField,), dt.timedelta()),
            ((models.DateTimeField,), timezone.now()),
            ((models.DateField,), dt.date(2026, 1, 31)),
            ((models.IntegerField,), self.number % 30_000),
            ((models.FloatField, models.DecimalField), 0),
            ((models.CharField, models.TextField), f"row-{self.number}"[: field.max_length or 99]),
        ]
        return next(value for kinds, value in makers if isinstance(field, kinds))
