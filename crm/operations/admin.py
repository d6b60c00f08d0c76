"""The admin of long work."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.admin import TenantModelAdmin, actor_of
from crm.operations.models import Operation, OperationRow
from crm.operations.selectors import operations_visible_to
from crm.operations.services import cancel_operation


@admin.register(Operation)
class OperationAdmin(TenantModelAdmin):
    """Operations, read-only; the ones not over can be stopped."""

    list_display = ("title", "kind", "state", "done", "total", "created", "updated", "skipped", "failed", "created_by", "created_at")
    list_filter = ("state", "kind")
    search_fields = ("title",)
    list_select_related = ("created_by",)
    fields = (
        "title", "kind", "state", "total", "done", "created", "updated", "skipped", "failed", "error", "result",
        "created_by", "created_at", "started_at", "finished_at",
    )  # fmt: skip
    actions = ("stop",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        return super().get_queryset(request).filter(pk__in=operations_visible_to(actor_of(request)).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    @admin.action(description=_("Stop the selected operations"))
    def stop(self, request: HttpRequest, operations: QuerySet[Operation]) -> None:
        with self.refusals_as_messages(request):
            for operation in operations:
                cancel_operation(operation=operation, by=actor_of(request))


@admin.register(OperationRow)
class OperationRowAdmin(TenantModelAdmin):
    """Rows that failed or were skipped, read-only."""

    list_display = ("operation", "outcome", "row", "field", "message")
    search_fields = ("message",)
    list_select_related = ("operation",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperationRow]:
        return super().get_queryset(request).filter(operation__in=operations_visible_to(actor_of(request)).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True
