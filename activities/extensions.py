"""What activities give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from activities import permissions, receivers
from activities.api import figures, timeline, views
from activities.events import ActivitiesChanged
from activities.pages import composer, today
from activities.services import bulk, mentions, reminders
from activities.services.digest import due_part
from activities.services.timeline import SOURCE
from audit.services.undo import PARTICIPANTS
from crm.events.bus import subscribe
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.merging import moves_with
from crm.operations.runner import kind
from crm.registry import (
    NavItem,
    Section,
    SettingsPage,
    UndoParticipant,
    merge_participants,
    navigation,
    sections,
    settings_pages,
    today_sources,
    undo_participants,
)
from crm.rest.routing import route
from crm.timeline import timeline_sources
from leads.events import LeadsChanged
from notifications.registry import digest_parts, notification_kind

grant(permissions.VIEW, RoleCode.MANAGER, RoleCode.SALES_REP, RoleCode.SUPPORT)
for _name in (permissions.ADD, permissions.CHANGE):
    grant(_name, RoleCode.MANAGER, RoleCode.SALES_REP)

navigation.add("main", NavItem(label=_("Today"), url="/", icon="sun", key="g t"), order=10)
navigation.add(
    "main", NavItem(label=_("Calendar"), url="/calendar", icon="calendar-days", key="g k", capability=permissions.VIEW), order=12
)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Calendar"),
        url="/settings/calendar",
        icon="calendar-days",
        group=_("You"),
        capability=permissions.VIEW,
        description=_("The secret address by which other programs read your calendar."),
    ),
    order=12,
)
digest_parts.add("main", due_part, order=10)
subscribe(ActivitiesChanged, receivers.tell_attendees, within=True)
subscribe(LeadsChanged, receivers.repeat_steps, within=True)
today_sources.add("main", today.due_items, order=10)
today_sources.add("main", today.fresh_items, order=20)
sections.add(
    "leads.Lead", Section(name="composer", build=composer.composer_section, template="activities/composer.html", place="main"), order=10
)
sections.add("leads.Lead", Section(name="open", build=composer.open_section, template="activities/open.html", place="main"), order=20)
timeline_sources.add("leads.Lead", SOURCE, order=SOURCE.order)
merge_participants.add("leads.Lead", moves_with("activities.Activity", "lead", label=_("Activities")))
undo_participants.add(
    PARTICIPANTS,
    UndoParticipant(
        model="activities.Activity", made_by="operation_id", visible=bulk.undo_visible, discard=bulk.discard, tell=bulk.tell_restored
    ),
    order=200,
)
kind(bulk.KIND, bulk.reschedule_chunk, undoable=True)

notification_kind(mentions.MENTION, _("Mentions"), _("Somebody names you in a note"), by_email=True, icon="message-square")
notification_kind(reminders.REMINDER, _("Reminders"), _("What you asked to be reminded of"), by_email=False, icon="bell")
notification_kind(reminders.OVERDUE, _("Overdue follow-ups"), _("A follow-up of yours has passed its time"), by_email=False, icon="clock")

route("leads/{id}/timeline", timeline.TimelineView.as_view(), name="lead-timeline")
route("activities/log", views.LogView.as_view(), name="activities-log")
route("activities/lead/{lead_id}", views.LeadActivitiesView.as_view(), name="activities-lead")
route("activities/lead/{lead_id}/timeline", timeline.LeadTimelineView.as_view(), name="activities-lead-timeline")
route("activities/entity", views.EntityView.as_view(), name="activities-entity")
route("activities/user", views.UserView.as_view(), name="activities-user")
route("activities/follow-ups/pending", views.PendingView.as_view(), name="activities-pending")
route("activities/follow-ups/overdue", views.OverdueView.as_view(), name="activities-overdue")
route("activities/follow-ups/summary", views.FollowUpSummaryView.as_view(), name="activities-follow-up-summary")
route("activities/update-status", views.UpdateStatusView.as_view(), name="activities-update-status")
route("activities/update-follow-up", views.UpdateFollowUpView.as_view(), name="activities-update-follow-up")
route("activities/bulk-update-follow-ups", views.BulkFollowUpsView.as_view(), name="activities-bulk-follow-ups")
route("activities/statistics", figures.StatisticsView.as_view(), name="activities-statistics")
route("activities/user-performance", figures.PerformanceView.as_view(), name="activities-performance")
route("activities/priority-distribution", figures.PriorityView.as_view(), name="activities-priorities")
route("activities/recent", views.RecentView.as_view(), name="activities-recent")
route("activities/summary", figures.SummaryView.as_view(), name="activities-summary")
route("activities/{id}", views.ActivityView.as_view(), name="activity")
route("activities/{id}/snooze", views.SnoozeView.as_view(), name="activity-snooze")
