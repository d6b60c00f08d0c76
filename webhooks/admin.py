"""The admin of sources, mappings and arrivals: to look up, and to read failed arrivals anew."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.admin import TenantModelAdmin, actor_of
from leads.admin import ArrivalAdmin
from leads.models import Arrival
from webhooks.errors import NotFailed
from webhooks.models import FieldMapping, Source
from webhooks.permissions import ARRIVALS, SOURCES
from webhooks.services.arrivals import replay_arrival
from webhooks.services.options import shown_options


class OfSources(TenantModelAdmin):
    """What those who look after sources may look up."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(SOURCES)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(SOURCES)


@admin.register(Source)
class SourceAdmin(OfSources):
    """Sources; they are made and changed under Settings, Connections. Secrets are not shown."""

    list_display = ("name", "kind", "external_id", "lead_source", "default_owner", "is_active", "last_error", "checked_at")
    list_filter = ("kind", "is_active")
    search_fields = ("name", "external_id")
    fields = (
        "page", "kind", "name", "external_id", "has_token", "signing", "settings", "lead_source", "default_owner", "tags", "is_active",
        "created_at", "checked_at", "last_error", "last_error_at",
    )  # fmt: skip
    readonly_fields = ("page", "has_token", "signing", "settings")
    exported = ("id", "name", "kind", "external_id", "lead_source", "is_active")

    @admin.display(description=_("page"))
    def page(self, source: Source) -> str:
        return format_html('<a href="{}">{}</a>', reverse("webhooks:connection", args=[source.pk]), _("Open the connection's page"))

    @admin.display(description=_("settings"))
    def settings(self, source: Source) -> str:
        shown = shown_options(source.kind, source.options)
        return format_html_join(mark_safe("<br>"), "{}: {}", shown.items()) if shown else "–"

    @admin.display(description=_("token kept"), boolean=True)
    def has_token(self, source: Source) -> bool:
        return bool(source.token)

    @admin.display(description=_("asks for signatures"), boolean=True)
    def signing(self, source: Source) -> bool:
        return bool(source.signing_secret)


@admin.register(FieldMapping)
class FieldMappingAdmin(OfSources):
    """How forms are read."""

    list_display = ("__str__", "source", "form_id", "updated_at")
    list_filter = ("source",)


# The app below registers it to look up; here it can be read anew as well.
admin.site.unregister(Arrival)


@admin.register(Arrival)
class ReplayableArrivalAdmin(ArrivalAdmin):
    """What came in, as it came in, and reading it anew where it failed."""

    list_display = ("received_at", "platform_key", "door", "lead", "utm_campaign", "was_duplicate", "processing_status", "error")
    list_filter = ("processing_status", "door", "platform_key", "was_duplicate")
    search_fields = ("source_lead_id__exact",)
    actions: ClassVar[Any] = ("replay",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(ARRIVALS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(ARRIVALS)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(SOURCES)

    @admin.action(description=_("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Arrival]) -> None:
        with self.refusals_as_messages(request):
            number = 0
            for pk in queryset.values_list("pk", flat=True):
                try:
                    replay_arrival(arrival_id=pk, by=actor_of(request))
                except NotFailed:
                    continue
                number += 1
            self.message_user(request, ngettext("%d arrival is read anew.", "%d arrivals are read anew.", number) % number)
