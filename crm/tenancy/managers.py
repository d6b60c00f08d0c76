"""The first wall: querysets that bind the open tenant when their SQL is compiled, and refuse to write another's rows."""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import models
from django.db.models.expressions import Expression

from crm.tenancy.scope import WrongTenant, current_tenant_id

M = TypeVar("M", bound=models.Model)


class CurrentTenant(Expression):
    """The open tenant's id, resolved at compile time, so that a queryset made at import is safe and `.exists()` is too."""

    output_field = models.BigIntegerField()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[int]]:  # type: ignore[override]
        return "%s", (current_tenant_id(),)

    def get_source_expressions(self) -> list[Expression]:
        return []


class TenantQuerySet(models.QuerySet[M]):
    """Adds the write guard to bulk paths. `save()` has its own in TenantOwned."""

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        objs = list(objs)
        for obj in objs:
            bind_tenant(obj)
        return super().bulk_create(objs, *args, **kwargs)

    def bulk_update(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> int:
        objs = list(objs)
        for obj in objs:
            bind_tenant(obj)
        return super().bulk_update(objs, *args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        for value in kwargs.values():
            _refuse_foreign(value)
        return super().update(**kwargs)


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):  # type: ignore[misc]
    """The default manager of every tenant-owned model."""

    use_in_migrations = False

    def get_queryset(self) -> TenantQuerySet[Any]:
        return super().get_queryset().filter(tenant=CurrentTenant())  # type: ignore[no-any-return]


def bind_tenant(obj: models.Model) -> None:
    """Give a new row the open tenant; refuse a row, or a linked row, of another."""
    tenant_id = current_tenant_id()
    if obj.tenant_id is None:  # type: ignore[attr-defined]
        obj.tenant_id = tenant_id  # type: ignore[attr-defined]
    if obj.tenant_id != tenant_id:  # type: ignore[attr-defined]
        raise WrongTenant(f"{obj._meta.label} of tenant {obj.tenant_id} written while {tenant_id} is open.")  # type: ignore[attr-defined]
    for value in obj._state.fields_cache.values():
        _refuse_foreign(value)


def _refuse_foreign(value: object) -> None:
    tenant_id = getattr(value, "tenant_id", None) if isinstance(value, models.Model) else None
    if tenant_id is not None and tenant_id != current_tenant_id():
        raise WrongTenant(f"{value!r} of tenant {tenant_id} linked while {current_tenant_id()} is open.")
