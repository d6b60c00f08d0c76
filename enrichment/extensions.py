"""What enrichment gives the kernel's registries, and what it offers to exports."""

from django.utils.translation import gettext_lazy as _

from crm.events.bus import subscribe_to_many
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.identity.services.tenants import tenant_setup
from crm.operations.runner import kind
from crm.registry import BulkAction, MergeParticipant, Section, SettingsPage, bulk_actions, merge_participants, sections, settings_pages
from crm.rest.routing import route
from enrichment import permissions
from enrichment.api import views
from enrichment.enums import OWN_FIELDS
from enrichment.pages.lead import enrichment_section
from enrichment.receivers import enrich_captured
from enrichment.selectors import found_for
from enrichment.services import bulk, http_provider, inference, merging
from enrichment.services.providers import KINDS, ProviderKind, provider_kinds
from enrichment.services.settings import set_up_providers
from leads.events import LeadsCaptured
from leads.services.export_fields import SOURCES, ExportSource, export_sources

grant(permissions.ENRICH, RoleCode.MANAGER, RoleCode.SALES_REP)
grant(permissions.CONFIGURE)

provider_kinds.add(
    KINDS,
    ProviderKind(
        code=inference.CODE,
        label=_("Inference"),
        about=_("Concludes from e-mail domain, job title, company and phone, here and at once. Nobody else is asked."),
        icon="lightbulb",
        build=inference.build,
        built_in=True,
    ),
)
provider_kinds.add(
    KINDS,
    ProviderKind(
        code=http_provider.CODE,
        label=_("HTTP service"),
        about=_("Asks an address of your choice and reads its JSON answer."),
        icon="globe",
        build=http_provider.build,
    ),
)

if set_up_providers not in tenant_setup:
    tenant_setup.append(set_up_providers)

subscribe_to_many(LeadsCaptured, enrich_captured)
kind(bulk.KIND, bulk.enrich_chunk, undoable=True, links=bulk.links)

bulk_actions.add("leads", BulkAction(label=_("Enrich"), icon="sparkles", url="/leads/enrich", capability=permissions.ENRICH))
merge_participants.add(
    "leads.Lead",
    MergeParticipant(
        name="enrichment.FieldSource",
        label=_("Enriched fields"),
        count=merging.count_sources,
        move=merging.move_sources,
        move_back=merging.move_sources_back,
    ),
)

route("leads/enrich", views.EnrichView.as_view(), name="leads-enrich")
route("leads/{id}/enrichment", views.LeadEnrichmentView.as_view(), name="lead-enrichment")

sections.add("leads.Lead", Section(name="enrichment", build=enrichment_section, template="enrichment/enrichment_section.html"), order=30)
export_sources.add(SOURCES, ExportSource(prefix="enrichment", group=_("Enrichment"), columns=OWN_FIELDS, read=found_for))  # type: ignore[arg-type]
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Enrichment"),
        url="/settings/enrichment",
        icon="lightbulb",
        group=_("Leads"),
        capability=permissions.CONFIGURE,
        description=_("Services that are asked about leads, and what is concluded of them"),
    ),
)
