"""Service levels and stages in the admin: to look at; what changes them has its rules elsewhere."""

from django.contrib import admin

from crm.admin import TenantModelAdmin
from pipeline.models import LeadStage, SlaPolicy


@admin.register(SlaPolicy)
class SlaPolicyAdmin(TenantModelAdmin):
    list_display = ("name", "kind", "target_minutes", "hours", "is_active")


@admin.register(LeadStage)
class LeadStageAdmin(TenantModelAdmin):
    list_display = ("lead_id", "status", "entered_at", "exited_at")
    raw_id_fields = ("lead",)
