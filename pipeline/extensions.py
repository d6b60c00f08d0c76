"""What stages and service levels give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.events.bus import subscribe, subscribe_to_many
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.operations.runner import kind
from crm.registry import NavItem, Section, SettingsPage, navigation, sections, settings_pages, today_sources
from crm.rest.routing import route
from leads.events import LeadsCaptured, LeadsChanged, LeadsDeleted, LeadsMoved, LeadsRestored
from leads.filters import offer_filter
from notifications.registry import notification_kind
from pipeline import permissions, receivers
from pipeline.api import metrics, sla, stages
from pipeline.filters import SLA_FILTER
from pipeline.pages.lead import sla_badges, sla_of
from pipeline.pages.today import sla_items
from pipeline.services import escalation, policies

route("stages/change-status", stages.ChangeStatusView.as_view(), name="stages-change-status")
route("stages/lead/{lead_id}/current", stages.CurrentStageView.as_view(), name="stages-current")
route("stages/lead/{lead_id}/history", stages.StageHistoryView.as_view(), name="stages-history")
route("stages/lead/{lead_id}/next-statuses", stages.NextStatusesView.as_view(), name="stages-next-statuses")
route("stages/update-notes", stages.UpdateNotesView.as_view(), name="stages-update-notes")
route("leads/{id}/qualify", stages.QualifyView.as_view(), name="lead-qualify")
route("leads/bulk-qualify", stages.BulkQualifyView.as_view(), name="leads-bulk-qualify")
for _name, _view in (
    ("performance-metrics", metrics.PerformanceView),
    ("user-performance", metrics.UserPerformanceView),
    ("transition-matrix", metrics.MatrixView),
    ("sla-violations", metrics.ViolationsView),
    ("conversion-rates", metrics.ConversionView),
    ("summary", metrics.SummaryView),
    ("recent-changes", metrics.RecentChangesView),
    ("status-statistics", metrics.StatisticsView),
    ("sla-compliance", metrics.ComplianceView),
    ("workflow-efficiency", metrics.EfficiencyView),
    ("bottleneck-analysis", metrics.BottleneckView),
):
    route(f"stages/{_name}", _view.as_view(), name=f"stages-{_name}")

grant(permissions.CONFIGURE_SLA, RoleCode.MANAGER)
route("settings/sla-policies", sla.PoliciesView.as_view(), name="sla-policies")
route("settings/sla-policies/{id}", sla.PolicyView.as_view(), name="sla-policy")
route("sla/control-room", sla.ControlRoomView.as_view(), name="sla-control-room")
route("sla/clocks", sla.ClocksView.as_view(), name="sla-clocks")
route("sla/compliance", sla.ComplianceByPolicyView.as_view(), name="sla-compliance")
route("leads/{id}/sla/pause", sla.PauseView.as_view(), name="lead-sla-pause")
route("leads/{id}/sla/resume", sla.ResumeView.as_view(), name="lead-sla-resume")
offer_filter("sla", SLA_FILTER)
navigation.add("main", NavItem(label=_("Service levels"), url="/sla", icon="timer", key="g s", capability=permissions.VIEW), order=35)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Service levels"),
        url="/settings/sla",
        icon="timer",
        group=_("Leads"),
        capability=permissions.CONFIGURE_SLA,
        description=_("How soon leads are answered, how long they may wait, and who is told"),
    ),
)
sections.add(
    "leads.Lead", Section(name="sla", build=sla_badges, template="pipeline/sla_section.html", place="meta"), order=20
)  # fmt: skip
sections.add("leads.Lead", Section(name="sla-clocks", build=sla_of, api_key="sla"), order=20)
today_sources.add("main", sla_items, order=15)
notification_kind(
    escalation.SOON, _("Service level due soon"), _("A lead of yours must be answered or moved on soon"), by_email=False, icon="timer"
)  # fmt: skip
notification_kind(
    escalation.BREACHED, _("Service level breached"), _("The time of a lead has run out"), by_email=True, icon="alarm-clock"
)  # fmt: skip
kind(policies.RECOMPUTE, policies.recompute_chunk)
subscribe_to_many(LeadsCaptured, receivers.follow)
subscribe_to_many(LeadsChanged, receivers.follow)
subscribe_to_many(LeadsDeleted, receivers.follow)
subscribe_to_many(LeadsRestored, receivers.follow)
subscribe(LeadsMoved, receivers.note_move, within=True)
