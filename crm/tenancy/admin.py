"""The admin of the tenant: one's own, or any for who runs the install."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from crm.actors import Actor
from crm.admin import TenantModelAdmin, actor_of
from crm.identity.services.tenants import update_tenant
from crm.tenancy.models import Tenant


@admin.register(Tenant)
class TenantAdmin(TenantModelAdmin):
    """The company's settings. Other tenants are seen by platform staff only, and changed by nobody here."""

    editable = True
    list_display = ("name", "display_name", "region", "time_zone", "currency", "is_active", "created_at")
    fields = ("name", "display_name", "region", "time_zone", "currency", "working_hours", "open_form", "is_active", "created_at")
    readonly_fields = ("name", "is_active", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        tenants = super().get_queryset(request)
        return tenants if request.user.is_platform_staff else tenants.filter(pk=actor_of(request).tenant_id)  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        own = obj is None or obj.pk == actor_of(request).tenant_id
        return own and super().has_change_permission(request, obj)

    def write(self, request: HttpRequest, obj: Any, form: Any, change: bool, by: Actor) -> None:
        update_tenant(tenant=Tenant.objects.get(pk=obj.pk), data={name: form.cleaned_data[name] for name in form.changed_data}, by=by)
