"""What duplicates give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.operations.models import Operation
from crm.operations.runner import kind
from crm.registry import (
    BulkAction,
    NavItem,
    Section,
    SettingsPage,
    bulk_actions,
    kept_apart,
    navigation,
    sections,
    settings_pages,
    similar_records,
    successors,
    undo_kinds,
)
from crm.rest.routing import route
from duplicates import permissions, receivers  # noqa: F401 -- subscribes to what happens to leads
from duplicates.api.deciding import AutoMergeView, DecisionsView, ScanView
from duplicates.api.groups import DuplicatesView
from duplicates.api.merge import MergesView, MergeUndoView, MergeView
from duplicates.pages.section import merged_section, operation_section, similar_section
from duplicates.selectors.merges import merged_away, winner_of
from duplicates.services import auto_merge
from duplicates.services.checking import similar_to_draft

grant(permissions.VIEW, RoleCode.MANAGER, RoleCode.SALES_REP, RoleCode.SUPPORT)
grant(permissions.DECIDE, RoleCode.MANAGER, RoleCode.SALES_REP)
grant(permissions.CONFIGURE)

navigation.add("main", NavItem(label=_("Duplicates"), url="/duplicates", icon="copy", key="g d", capability=permissions.VIEW), order=25)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Duplicates"),
        url="/settings/duplicates",
        icon="copy",
        group=_("Leads"),
        capability=permissions.CONFIGURE,
        description=_("Which fields tell that two leads are one, and from where on"),
    ),
)
sections.add(
    "leads.Lead",
    Section(name="duplicates", build=similar_section, template="duplicates/lead_section.html", api_key="potential_duplicates"),
    order=20,
)
sections.add(
    "leads.Lead", Section(name="merged", build=merged_section, template="duplicates/merged_section.html", api_key="merged_from"), order=30
)
successors.add("leads.Lead", winner_of)
kept_apart.add("leads.Lead", merged_away)
bulk_actions.add("leads", BulkAction(label=_("Merge"), icon="merge", url="/duplicates/merge", capability=permissions.DECIDE))
route("leads/merge", MergeView.as_view(), name="leads-merge")
route("leads/merges", MergesView.as_view(), name="leads-merges")
route("leads/merges/{id}/undo", MergeUndoView.as_view(), name="leads-merge-undo")
route("leads/duplicates", DuplicatesView.as_view(), name="leads-duplicates")
route("leads/duplicates/decisions", DecisionsView.as_view(), name="leads-duplicates-decisions")
route("leads/duplicates/scan", ScanView.as_view(), name="leads-duplicates-scan")
route("leads/duplicates/auto-merge", AutoMergeView.as_view(), name="leads-duplicates-auto-merge")

similar_records.add("leads.Lead", similar_to_draft)


def operation_links(operation: Operation) -> dict[str, str]:
    return {"record": "/leads/"}


kind(auto_merge.KIND, auto_merge.merge_next, undoable=True, links=operation_links)
kind(auto_merge.UNDO_KIND, auto_merge.part_next, links=operation_links)
undo_kinds.add(auto_merge.KIND, auto_merge.UNDO_KIND)
sections.add(
    "operations.Operation", Section(name="merges", build=operation_section, template="duplicates/operation_section.html"), order=120
)
