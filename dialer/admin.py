"""The admin of the dialer, to look up: queues, who waits in them, every call, and the numbers nobody calls."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from crm.admin import TenantModelAdmin, actor_of
from dialer.models import Call, CallEvent, CallingAgent, DoNotCall, QueueEntry, RetryRule
from dialer.permissions import COACH, MANAGE
from dialer.selectors.history import CallsAsked, found_ids
from dialer.selectors.queues import calls_visible_to, entries_visible_to, found_entry_ids


class OfManagers(TenantModelAdmin):
    """What those who manage the queues may look up."""

    needed: str = MANAGE

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return actor_of(request).can(self.needed)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(self.needed)


@admin.register(CallingAgent)
class CallingAgentAdmin(OfManagers):
    """Agents; they are changed on their own page."""

    list_display = ("name", "kind", "is_active", "mode", "max_attempts", "most_calls", "time_zone", "deleted_at")
    list_filter = ("kind", "is_active", "mode")
    search_fields = ("name",)
    fields = (
        "page", "name", "kind", "is_active", "time_zone", "business_hours", "holidays", "keeps_tenant_holidays", "max_attempts",
        "retry_delay_minutes", "most_calls", "caller_id", "mode", "lines", "ring_seconds", "countdown_seconds", "detect_machines", "script",
        "created_at", "updated_at", "deleted_at",
    )  # fmt: skip
    readonly_fields = ("page",)
    exported = ("id", "public_id", "name", "kind", "is_active", "max_attempts", "retry_delay_minutes", "most_calls", "caller_id", "mode")

    @admin.display(description=_("page"))
    def page(self, agent: CallingAgent) -> str:
        if agent.deleted_at is not None:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("dialer:agent", args=[agent.public_id]), _("Open the agent's page"))


@admin.register(RetryRule)
class RetryRuleAdmin(OfManagers):
    list_display = ("agent", "result", "delay_minutes", "most_tries", "another_hour", "disposition")
    list_select_related = ("agent",)
    list_filter = ("result", "agent")


@admin.register(QueueEntry)
class QueueEntryAdmin(OfManagers):
    """Who waits to be called, and how it ended with the others."""

    list_display = ("first_name", "phone", "agent", "status", "disposition", "attempts_count", "last_result", "next_at", "waits_for")
    list_select_related = ("agent",)
    list_filter = ("status", "disposition", "agent")
    search_fields = ("phone",)
    search_help_text = _("Name, or phone in any notation")
    fields = (
        "public_id", "agent", "lead", "first_name", "phone", "zone", "custom_fields", "status", "disposition", "schedule_at", "next_at",
        "waits_for", "is_immediate", "held_by", "callback_for", "attempts_count", "last_result", "last_called_at", "created_via", "created_at",
        "updated_at",
    )  # fmt: skip
    exported = (
        "public_id", "agent__name", "first_name", "phone", "status", "disposition", "schedule_at", "attempts_count", "last_result", "created_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[QueueEntry]:
        return entries_visible_to(actor_of(request)).defer("search").select_related("agent").order_by("-pk")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=found_entry_ids(search_term, actor=actor_of(request))), False


@admin.register(Call)
class CallAdmin(OfManagers):
    """Every call, the live ones included."""

    needed = COACH
    list_display = ("created_at", "lead_name", "phone", "agent_name", "user", "status", "result", "duration_seconds", "attempt")
    list_select_related = ("user",)
    list_filter = ("status", "outcome", "result", "agent")
    search_fields = ("phone",)
    search_help_text = _("Name or agent, or phone in any notation")
    fields = (
        "public_id", "lead", "lead_name", "phone", "agent_name", "user", "mode", "attempt", "status", "result", "outcome", "answered_by",
        "placed_at", "answered_at", "ended_at", "duration_seconds", "provider", "provider_call_id", "error", "summary", "notes", "created_at",
    )  # fmt: skip
    exported = (
        "public_id", "created_at", "lead_name", "phone", "agent_name", "user__email", "status", "outcome", "result", "duration_seconds", "attempt",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        return calls_visible_to(actor_of(request)).defer("search").select_related("user").order_by("-created_at", "-pk")

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=found_ids(actor=actor_of(request), asked=CallsAsked(search=search_term))), False


@admin.register(CallEvent)
class CallEventAdmin(OfManagers):
    """What was heard of each call, in order."""

    needed = COACH
    list_display = ("at", "call", "kind", "status", "text", "user")
    list_select_related = ("call", "user")
    list_filter = ("kind",)
    fields = ("call", "kind", "status", "text", "user", "at")
    exported = ("id", "call__public_id", "kind", "status", "text", "at")


@admin.register(DoNotCall)
class DoNotCallAdmin(OfManagers):
    list_display = ("phone", "agent", "until", "reason", "created_by", "created_at")
    list_select_related = ("agent", "created_by")
    list_filter = ("agent",)
    search_fields = ("phone",)
    exported = ("id", "phone", "agent__name", "until", "reason", "created_at")
