"""The admin of assignment, to look up: rules and their versions, who has and had what, people's limits and leave."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from assignments.models import Assignment, AssignmentRule, Capacity, Leave, Pool, RuleVersion
from assignments.permissions import ASSIGN, RULES
from crm.admin import TenantModelAdmin, actor_of


class OfManagers(TenantModelAdmin):
    """What those who give leads may look up."""

    needed = ASSIGN

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return actor_of(request).can(self.needed)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(self.needed)


@admin.register(AssignmentRule)
class AssignmentRuleAdmin(OfManagers):
    """Rules; they are changed on their own page, where they can be tried out."""

    needed = RULES
    list_display = ("position", "name", "is_active", "method", "user", "team", "pool", "fallback", "deleted_at")
    list_display_links = ("name",)
    list_filter = ("is_active", "method")
    fields = (
        "page", "name", "position", "is_active", "conditions", "method", "user", "team", "pool", "territories", "per_day", "in_total",
        "heed_shifts", "fallback", "fallback_user", "created_at", "deleted_at",
    )  # fmt: skip
    readonly_fields = ("page",)
    exported = ("id", "name", "position", "is_active", "method", "per_day", "in_total", "fallback")

    @admin.display(description=_("page"))
    def page(self, rule: AssignmentRule) -> str:
        if rule.deleted_at is not None:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("assignments:rule", args=[rule.pk]), _("Open the rule's page"))


@admin.register(RuleVersion)
class RuleVersionAdmin(OfManagers):
    needed = RULES
    list_display = ("number", "made_by", "made_at")
    fields = ("number", "made_by", "made_at", "rules")


@admin.register(Assignment)
class AssignmentAdmin(OfManagers):
    """Every owner that every lead has had."""

    list_display = ("lead", "assigned_user", "at", "until", "rule", "reason", "door")
    list_select_related = ("lead", "assigned_user", "rule")
    list_filter = ("door", "rule")
    fields = ("lead", "assigned_user", "previous_user_id", "assigned_by_id", "at", "until", "reason", "notes", "door", "rule", "decision")
    exported = ("id", "lead", "assigned_user__email", "previous_user_id", "assigned_by_id", "at", "until", "reason", "rule__name", "door")


@admin.register(Pool)
class PoolAdmin(OfManagers):
    needed = RULES
    list_display = ("name", "description")


@admin.register(Capacity)
class CapacityAdmin(OfManagers):
    list_display = ("user", "takes_leads", "per_day", "in_total")


@admin.register(Leave)
class LeaveAdmin(OfManagers):
    list_display = ("user", "first_day", "last_day", "note")
