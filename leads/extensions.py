"""What leads give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from audit.services.undo import PARTICIPANTS
from crm.events.bus import subscribe
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.identity.services.tenants import tenant_setup
from crm.merging import moves_with
from crm.operations.runner import kind
from crm.registry import (
    NavItem,
    SaveableList,
    SearchSource,
    Section,
    SettingsPage,
    UndoParticipant,
    guards,
    hidden_columns,
    merge_participants,
    navigation,
    saveable_lists,
    search_sources,
    sections,
    settings_pages,
    undo_participants,
)
from crm.rest.routing import route
from crm.timeline import timeline_sources
from customobjects.selectors import extend_model
from leads import permissions, receivers
from leads.api import bulk as bulk_views
from leads.api import exports as export_views
from leads.api import imports as import_views
from leads.api import statuses as status_views
from leads.api import views
from leads.events import LeadsCaptured, LeadsChanged, LeadsRestored
from leads.pages.exports import export_section
from leads.pages.palette import find_leads
from leads.services import bulk, exports, imports, undo
from leads.services.custom_fields import hidden_in_rows, refuse_taken_values, visible_state
from leads.services.drafts import RECORDS
from leads.services.timeline import SOURCES
from leads.services.vocabularies import set_up_statuses

_ALL = (RoleCode.MANAGER, RoleCode.SALES_REP, RoleCode.SUPPORT)
_SALES = (RoleCode.MANAGER, RoleCode.SALES_REP)

grant(permissions.VIEW, *_ALL)
grant(permissions.SEE_ALL, RoleCode.MANAGER, RoleCode.SUPPORT)
grant(permissions.ADD, *_SALES)
grant(permissions.CHANGE, *_SALES)
grant(permissions.DELETE, RoleCode.MANAGER)
for _name in (permissions.ASSIGN, permissions.IMPORT, permissions.EXPORT, permissions.SKIP_TRANSITIONS, permissions.FORMS):
    grant(_name, RoleCode.MANAGER)
grant(permissions.HARD_DELETE)
grant(permissions.CONFIGURE)
grant(permissions.SEE_STAGES, RoleCode.MANAGER)

navigation.add("main", NavItem(label=_("Leads"), url="/leads", icon="users", key="g l", capability=permissions.VIEW), order=20)
navigation.add(
    "main", NavItem(label=_("Pipeline"), url="/pipeline", icon="square-kanban", key="g p", capability=permissions.VIEW), order=21
)
saveable_lists.add(
    "main",
    SaveableList(name="leads", label=_("Leads"), url="/leads", icon="list-filter", capability=permissions.VIEW, seen_by=visible_state),
)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Sources"),
        url="/settings/sources",
        icon="globe",
        group=_("Leads"),
        capability=permissions.FORMS,
        description=_("Web forms, their keys and the snippet for your site"),
    ),
)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Stages"),
        url="/settings/statuses",
        icon="workflow",
        group=_("Leads"),
        capability=permissions.SEE_STAGES,
        description=_("The stages of leads, the moves between them, and what a move asks for"),
    ),
)
search_sources.add("main", SearchSource(label=_("Leads"), find=find_leads), order=10)

if set_up_statuses not in tenant_setup:
    tenant_setup.append(set_up_statuses)

route("leads", views.LeadsView.as_view(), name="leads")
route("leads/counts", views.CountsView.as_view(), name="leads-counts")
route("leads/unassigned", views.UnassignedView.as_view(), name="leads-unassigned")
route("leads/my-leads", views.MyLeadsView.as_view(), name="leads-my-leads")
route("leads/pipeline", views.PipelineView.as_view(), name="leads-pipeline")
route("leads/bulk/import", import_views.BulkImportView.as_view(), name="leads-bulk-import")
route("leads/bulk/update", bulk_views.BulkUpdateView.as_view(), name="leads-bulk-update")
route("leads/bulk/delete", bulk_views.BulkDeleteView.as_view(), name="leads-bulk-delete")
route("leads/bulk/restore", bulk_views.BulkRestoreView.as_view(), name="leads-bulk-restore")
route("leads/export", export_views.ExportView.as_view(), name="leads-export")
route("leads/export/download/{token}", export_views.ExportDownloadView.as_view(), name="leads-export-download")
route("imports", import_views.ImportsView.as_view(), name="imports")
route("imports/{id}", import_views.ImportView.as_view(), name="import")
route("imports/{id}/check", import_views.ImportCheckView.as_view(), name="import-check")
route("imports/{id}/run", import_views.ImportRunView.as_view(), name="import-run")
route("settings/statuses", status_views.StatusesView.as_view(), name="statuses")
route("settings/statuses/{id}", status_views.StatusView.as_view(), name="status")
route("settings/transitions", status_views.TransitionsView.as_view(), name="transitions")
route("settings/transitions/{id}", status_views.TransitionView.as_view(), name="transition")
route("leads/{id}", views.LeadView.as_view(), name="lead")

undo_participants.add(
    PARTICIPANTS,
    UndoParticipant(
        model="leads.Lead",
        made_by="operation_id",
        related=("status",),
        visible=undo.visible_ids,
        discard=undo.discard_leads,
        tell=undo.tell_restored,
    ),
)

merge_participants.add("leads.Lead", moves_with("leads.Arrival", "lead", label=_("Arrivals")))
merge_participants.add("leads.Lead", moves_with("leads.LeadShare", "lead", label=_("Shares"), unique_with=("user", "team")))

kind(imports.KIND, imports.import_chunk, undoable=True, links=imports.links)
kind(imports.CHECK_KIND, imports.check_chunk)
kind(bulk.EDIT, bulk.edit_chunk, undoable=True, links=bulk.links)
kind(bulk.DELETE_KIND, bulk.delete_chunk, undoable=True, labels={"updated": _("Deleted")})
kind(bulk.RESTORE, bulk.restore_chunk, undoable=True, links=bulk.links, labels={"updated": _("Restored")})
kind(bulk.PURGE, bulk.purge_chunk, labels={"updated": _("Deleted")})
kind(exports.KIND, exports.export_chunk, labels={"created": _("Rows written")})
for _kind in (imports.KIND, imports.CHECK_KIND, bulk.EDIT):
    hidden_columns.add(_kind, hidden_in_rows)
sections.add("operations.Operation", Section(name="leads-export", build=export_section, template="leads/export_section.html"), order=10)

for _source in SOURCES:
    timeline_sources.add("leads.Lead", _source, order=_source.order)

extend_model(RECORDS, name=_("Leads"))
guards.add(RECORDS, refuse_taken_values)
subscribe(LeadsCaptured, receivers.claim_captured, within=True)
subscribe(LeadsChanged, receivers.claim_changed, within=True)
subscribe(LeadsRestored, receivers.claim_restored, within=True)
