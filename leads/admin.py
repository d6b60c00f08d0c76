"""The admin of leads: the same sight, search and services as every other door."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _

from audit.selectors import history_of
from crm.actors import Actor
from crm.admin import TenantModelAdmin, actor_of
from crm.listing import MOST_CANDIDATES, AmongIds
from customobjects.selectors import described_values, without_hidden
from leads.filters import search_condition
from leads.models import Arrival, Lead, LeadStatus, LeadTransition, WebForm
from leads.permissions import CONFIGURE, EXPORT, FORMS, VIEW
from leads.selectors import leads_visible_to
from leads.services.bin import delete_leads
from leads.services.custom_fields import visible_change
from leads.services.drafts import RECORDS
from leads.services.editing import edit_lead

_EDITED = (
    "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country",
    "lead_source", "priority", "next_follow_up_at", "notes",
)  # fmt: skip


@admin.register(Lead)
class LeadAdmin(TenantModelAdmin):
    """Leads in the actor's sight. Status and owner change on the lead's own page, where their rules are shown."""

    editable = True
    export_capability = EXPORT
    list_display = ("display_name", "company", "status", "priority", "score", "owner", "lead_source", "next_follow_up_at", "created_at")
    list_filter = ("status", "priority", "quality_grade", "platform_key", "owner")
    list_select_related = ("status", "owner")
    search_fields = ("email",)
    search_help_text = _("Name, company, e-mail, phone in any notation, tag or note")
    ordering = ("-created_at", "-id")
    fieldsets = (
        (None, {"fields": ("page", "status", "owner", "score", "quality_grade", "lifecycle_stage")}),
        (_("Lead"), {"fields": _EDITED}),
        (_("Further fields"), {"fields": ("further_fields",)}),
        (
            _("Source"),
            {"fields": ("platform_key", "source_page_id", "as_received", "created_via", "created_by", "created_at", "updated_at")},
        ),
    )
    readonly_fields = (
        "page", "status", "owner", "score", "quality_grade", "lifecycle_stage", "further_fields", "platform_key", "source_page_id", "as_received", "created_via",
        "created_by", "created_at", "updated_at",
    )  # fmt: skip
    exported = (
        "id", "first_name", "last_name", "email", "phone", "company", "title", "industry", "company_size", "status__code", "priority", "score",
        "lead_source", "owner__email", "next_follow_up_at", "created_at",
    )  # fmt: skip
    actions: ClassVar[Any] = ("move_to_bin",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lead]:
        return leads_visible_to(actor_of(request)).defer("search").select_related("status", "owner").order_by(*self.ordering)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Lead], search_term: str) -> tuple[QuerySet[Lead], bool]:
        condition = search_condition(search_term) if search_term.strip() else None
        if condition is None:
            return queryset, False
        ids = condition.candidates(MOST_CANDIDATES)
        return queryset.filter(condition.rows if ids is None else AmongIds(ids)), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Lead | None:
        lead = super().get_object(request, object_id, from_field)
        if lead is not None:
            lead.reader = actor_of(request)
        return lead

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The history without the custom fields that the reader may not see."""
        lead = self.get_object(request, object_id)
        if lead is None:
            return super().history_view(request, object_id, extra_context)
        seen = (visible_change(change, lead.reader) for change in history_of(lead))
        return super().history_view(request, object_id, {"changes": [change for change in seen if change], **(extra_context or {})})

    @admin.display(description=_("further fields"))
    def further_fields(self, lead: Lead) -> str:
        rows = [(label, text) for _item, label, text in described_values(RECORDS, lead.custom_fields, lead.reader) if text]
        return format_html_join(mark_safe("<br>"), "{}: {}", rows) if rows else "–"

    @admin.display(description=_("as received"))
    def as_received(self, lead: Lead) -> str:
        sent = without_hidden(RECORDS, lead.raw_field_data, lead.reader)
        return format_html_join(mark_safe("<br>"), "{}: {}", sent.items()) if sent else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def write(self, request: HttpRequest, obj: Lead, form: Any, change: bool, by: Actor) -> None:
        edit_lead(lead_id=obj.pk, data={name: form.cleaned_data[name] for name in form.changed_data if name in _EDITED}, by=by)

    @admin.display(description=_("name"), ordering="name_key")
    def display_name(self, lead: Lead) -> str:
        return lead.display_name

    @admin.display(description=_("page"))
    def page(self, lead: Lead) -> str:
        return format_html('<a href="{}">{}</a>', reverse("leads:detail", args=[lead.pk]), _("Open the lead's page"))

    @admin.action(description=_("Move to the bin"), permissions=["bin"])
    def move_to_bin(self, request: HttpRequest, queryset: QuerySet[Lead]) -> None:
        with self.refusals_as_messages(request):
            count = len(delete_leads(lead_ids=list(queryset.values_list("pk", flat=True)), by=actor_of(request)))
            self.message_user(request, _("%d leads are in the bin.") % count)

    def has_bin_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can("leads.delete_lead")


class Configured(TenantModelAdmin):
    """What an admin configures and everybody who sees leads may look up."""

    editable = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(VIEW)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(CONFIGURE)


@admin.register(LeadStatus)
class LeadStatusAdmin(Configured):
    """The names, texts and order of the statuses. Codes and numbers are what integrations know, so they stay."""

    list_display = ("label", "code", "number", "category", "position", "is_active")
    readonly_fields = ("code", "number", "category", "is_builtin")
    fields = ("label", "description", "position", "is_active", "code", "number", "category", "is_builtin")
    ordering = ("position",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(LeadTransition)
class LeadTransitionAdmin(Configured):
    """The moves between statuses that the team allows."""

    list_display = ("source", "target")
    list_filter = ("source",)
    fields = ("source", "target")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(CONFIGURE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(CONFIGURE)


@admin.register(WebForm)
class WebFormAdmin(TenantModelAdmin):
    """Web forms, to look up; they are made and changed under Settings, Sources."""

    list_display = ("name", "lead_source", "default_owner", "is_active", "created_at")
    exclude = ("signing_secret",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(FORMS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(FORMS)


@admin.register(Arrival)
class ArrivalAdmin(TenantModelAdmin):
    """What came in, as it came in."""

    list_display = ("received_at", "platform_key", "lead", "utm_campaign", "was_duplicate", "processing_status")
    list_filter = ("platform_key", "processing_status", "was_duplicate")
    list_select_related = ("lead",)
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(FORMS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(FORMS)
