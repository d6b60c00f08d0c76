"""What assignments give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from assignments import permissions, receivers  # noqa: F401 -- subscribes to what happens to leads
from assignments.api import bulk as bulk_views
from assignments.api import giving
from assignments.api import rules as rule_views
from assignments.pages.section import owner_section
from assignments.services import bulk, handover
from assignments.services.capture import QUEUE_GREW
from assignments.services.telling import LEAD_ASSIGNED
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.operations.runner import kind
from crm.registry import BulkAction, NavItem, Section, bulk_actions, navigation, sections
from crm.rest.routing import route
from notifications.registry import notification_kind

grant(permissions.RULES, RoleCode.MANAGER)

notification_kind(LEAD_ASSIGNED, _("Leads given to you"), _("By somebody else or by the rules"), by_email=True, icon="user-plus")
notification_kind(QUEUE_GREW, _("Leads that nobody could take"), _("When the catch-all queue grows"), by_email=True, icon="inbox")

navigation.add(
    "main", NavItem(label=_("Assignments"), url="/assignments", icon="shuffle", key="g a", capability=permissions.ASSIGN), order=27
)
sections.add("leads.Lead", Section(name="owner", build=owner_section, template="assignments/lead_section.html"), order=10)
bulk_actions.add("leads", BulkAction(label=_("Assign by rules"), icon="shuffle", url="/assignments/place", capability=permissions.ASSIGN))

route("assignments/assign", giving.AssignView.as_view(), name="assignments-assign")
route("assignments/reassign", giving.ReassignView.as_view(), name="assignments-reassign")
route("assignments/unassign", giving.UnassignView.as_view(), name="assignments-unassign")
route("assignments/bulk-assign", bulk_views.BulkAssignView.as_view(), name="assignments-bulk-assign")
route("assignments/lead/{lead_id}", giving.LeadAssignmentView.as_view(), name="assignments-lead")
route("assignments/lead/{lead_id}/history", giving.LeadHistoryView.as_view(), name="assignments-lead-history")
route("assignments/entity", giving.EntityAssignmentsView.as_view(), name="assignments-entity")
route("assignments/user", giving.OwnAssignmentsView.as_view(), name="assignments-user")
route("assignments/workload-stats", giving.WorkloadView.as_view(), name="assignments-workload")
route("leads/assign", bulk_views.AutoAssignView.as_view(), name="leads-assign")
route("settings/assignment-rules", rule_views.RulesView.as_view(), name="assignment-rules")
route("settings/assignment-rules/{id}", rule_views.RuleView.as_view(), name="assignment-rule")

kind(bulk.KIND, bulk.assign_chunk, undoable=True, links=bulk.links, labels={"updated": _("Assigned"), "skipped": _("Left unassigned")})
kind(
    handover.KIND,
    handover.hand_over_chunk,
    undoable=True,
    links=bulk.links,
    labels={"updated": _("Assigned"), "skipped": _("Left unassigned")},
)
