"""What leads give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from audit.services.undo import PARTICIPANTS
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.identity.services.tenants import tenant_setup
from crm.operations.runner import kind
from crm.registry import (
    NavItem,
    SearchSource,
    SettingsPage,
    UndoParticipant,
    navigation,
    search_sources,
    settings_pages,
    undo_participants,
)
from crm.rest.routing import route
from leads import permissions
from leads.api import imports as bulk
from leads.api import views
from leads.pages.palette import find_leads
from leads.services import imports, undo
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

navigation.add("main", NavItem(label=_("Today"), url="/", icon="sun", key="g t"), order=10)
navigation.add("main", NavItem(label=_("Leads"), url="/leads", icon="users", key="g l", capability=permissions.VIEW), order=20)
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
search_sources.add("main", SearchSource(label=_("Leads"), find=find_leads), order=10)

if set_up_statuses not in tenant_setup:
    tenant_setup.append(set_up_statuses)

route("leads", views.LeadsView.as_view(), name="leads")
route("leads/counts", views.CountsView.as_view(), name="leads-counts")
route("leads/unassigned", views.UnassignedView.as_view(), name="leads-unassigned")
route("leads/my-leads", views.MyLeadsView.as_view(), name="leads-my-leads")
route("leads/pipeline", views.PipelineView.as_view(), name="leads-pipeline")
route("leads/bulk/import", bulk.BulkImportView.as_view(), name="leads-bulk-import")
route("imports", bulk.ImportsView.as_view(), name="imports")
route("imports/{id}", bulk.ImportView.as_view(), name="import")
route("imports/{id}/check", bulk.ImportCheckView.as_view(), name="import-check")
route("imports/{id}/run", bulk.ImportRunView.as_view(), name="import-run")
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

kind(imports.KIND, imports.import_chunk, undoable=True, links=imports.links)
kind(imports.CHECK_KIND, imports.check_chunk)
