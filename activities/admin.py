"""The admin of activities, to look up and export: what was done and is to be done with leads in sight."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from activities.models import Activity
from activities.permissions import VIEW
from activities.selectors import activities_visible_to
from crm.admin import TenantModelAdmin, actor_of


@admin.register(Activity)
class ActivityAdmin(TenantModelAdmin):
    """Activities; they are logged and changed on their lead's page."""

    list_display = ("occurred_at", "activity_type", "lead", "user", "status", "priority", "due_at", "outcome")
    list_select_related = ("lead", "user")
    list_filter = ("activity_type", "status", "priority", "user")
    fields = (
        "page", "lead", "user", "activity_type", "description", "priority", "status", "due_at", "occurred_at", "completed_at", "duration",
        "outcome", "notes", "location", "attendees", "remind_at", "snoozed_until", "recurrence", "created_by", "created_via", "created_at",
    )  # fmt: skip
    readonly_fields = ("page",)
    exported = (
        "id", "lead", "user__email", "activity_type", "description", "priority", "status", "due_at", "occurred_at", "completed_at",
        "duration", "outcome",
    )  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return actor_of(request).can(VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(VIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return activities_visible_to(actor_of(request)).order_by("-occurred_at", "-pk")

    @admin.display(description=_("page"))
    def page(self, activity: Activity) -> str:
        return format_html('<a href="{}">{}</a>', reverse("leads:detail", args=[activity.lead_id]), _("Open the lead"))
