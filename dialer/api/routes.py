"""The addresses of document 2's surface, below /api/v1."""

from crm.rest.envelope import mount_surface
from crm.rest.routing import route
from dialer.api import agents, calls, entries, settings
from dialer.api.surface import DialerSurface

SURFACE = "dialer"
_VIEWS = {
    "agents": (agents.CallingAgentsView, "dialer-agents"),
    "agents/{agent_id}": (agents.CallingAgentView, "dialer-agent"),
    "agents/{agent_id}/retry-rules": (agents.RetryRulesView, "dialer-retry-rules"),
    "leads": (entries.EntriesView, "dialer-leads"),
    "leads/csv-import": (entries.EntryImportView, "dialer-csv-import"),
    "leads/{lead_id}": (entries.EntryView, "dialer-lead"),
    "leads/{lead_id}/why": (entries.EntryWhyView, "dialer-lead-why"),
    "leads/{lead_id}/outcome": (entries.EntryOutcomeView, "dialer-lead-outcome"),
    "fills": (entries.FillsView, "dialer-fills"),
    "imports/{operation_id}": (entries.DialerImportView, "dialer-import"),
    "calls/schedule": (calls.ScheduleView, "dialer-schedule"),
    "calls/history": (calls.HistoryView, "dialer-history"),
    "calls/metrics": (calls.CallMetricsView, "dialer-metrics"),
    "calls/{call_id}/transcript": (calls.CallTranscriptView, "dialer-call-transcript"),
    "calls/{call_id}/recording": (calls.CallRecordingView, "dialer-call-recording"),
    "do-not-call": (settings.DoNotCallView, "dialer-do-not-call"),
    "do-not-call/import": (settings.DoNotCallImportView, "dialer-do-not-call-import"),
    "do-not-call/{number_id}": (settings.DoNotCallNumberView, "dialer-do-not-call-number"),
    "settings": (settings.DialerSettingsView, "dialer-settings"),
}


def serve() -> None:
    """Add the surface's routes."""
    mount_surface("/api/v1/", DialerSurface)
    for path, (view, name) in _VIEWS.items():
        route(path, view.as_view(), name=name, surface=SURFACE)
