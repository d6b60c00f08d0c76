"""Foreign keys between tenant-owned rows."""

from typing import Any

from django.db import models


class TenantForeignKey(models.ForeignKey):  # type: ignore[type-arg]
    """A foreign key whose constraint spans (tenant, id), so that the database itself refuses a link across tenants.

    PostgreSQL checks plain foreign keys without the row-level policies; the composite constraint closes that hole. It is
    laid by `crm.tenancy.walls` after each migration. No single-column index is made: declare one that leads with tenant.
    """

    def __init__(self, to: Any, on_delete: Any, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        kwargs["db_index"] = False
        super().__init__(to, on_delete, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_constraint", None)
        kwargs.pop("db_index", None)
        return name, path, args, kwargs
