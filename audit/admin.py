"""The admin of what changed no row."""

from django.contrib import admin

from audit.models import AuditEvent
from crm.admin import TenantModelAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(TenantModelAdmin):
    """Sign-ins, exports and other acts, read-only."""

    list_display = ("at", "actor", "action", "subject", "door")
    list_filter = ("action", "door")
    search_fields = ("actor", "subject")
    fields = ("at", "user", "actor", "door", "action", "subject", "details", "request_id")
