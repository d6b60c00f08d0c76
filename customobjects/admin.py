"""The admin of custom fields: to look up."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from crm.admin import TenantModelAdmin
from customobjects.models import FieldDefinition
from customobjects.selectors import SETTINGS


@admin.register(FieldDefinition)
class FieldDefinitionAdmin(TenantModelAdmin):
    """Definitions; they are made and changed under Settings, Custom fields, where their rules are."""

    list_display = ("label", "key", "model", "kind", "required", "unique", "position", "is_active")
    list_filter = ("model", "kind", "is_active")
    search_fields = ("label", "key")
    ordering = ("model", "position", "id")
    fields = (
        "page", "model", "key", "label", "help_text", "kind", "choices", "currency", "required", "unique", "default", "visible_to",
        "editable_by", "in_list", "in_forms", "position", "is_active", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = ("page",)

    @admin.display(description=_("page"))
    def page(self, item: FieldDefinition) -> str:
        return format_html('<a href="{}/{}">{}</a>', SETTINGS, item.pk, _("Open the field's page"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
