from django.urls import path

from dialer.pages import calls, coaching, home, lead, numbers, queue, settings, work

app_name = "dialer"
urlpatterns = [
    path("dialer", home.HomePage.as_view(), name="home"),
    path("dialer/fill", home.FillPage.as_view(), name="fill"),
    path("dialer/work", work.WorkPage.as_view(), name="work"),
    path("dialer/work/beat", work.BeatPage.as_view(), name="beat"),
    path("dialer/work/<slug:act>", work.ActPage.as_view(), name="act"),
    path("dialer/queues/<uuid:agent>", queue.QueuePage.as_view(), name="queue"),
    path("dialer/queues/<uuid:agent>/add", queue.AddPage.as_view(), name="add"),
    path("dialer/queues/<uuid:agent>/import", queue.ImportPage.as_view(), name="import"),
    path("dialer/entries/<uuid:entry>/<slug:act>", queue.EntryActPage.as_view(), name="entry-act"),
    path("dialer/calls", calls.CallsPage.as_view(), name="calls"),
    path("dialer/calls/<uuid:call>", calls.CallPage.as_view(), name="call"),
    path("dialer/calls/<uuid:call>/recording", calls.RecordingPage.as_view(), name="recording"),
    path("dialer/calls/<uuid:call>/<slug:act>", calls.CallActPage.as_view(), name="call-act"),
    path("dialer/call", calls.ClickToCallPage.as_view(), name="click-to-call"),
    path("dialer/leads/<int:pk>", lead.LeadCallsPage.as_view(), name="lead"),
    path("dialer/numbers", numbers.NumbersPage.as_view(), name="numbers"),
    path("dialer/coaching", coaching.CoachingPage.as_view(), name="coaching"),
    path("settings/dialer", settings.DialerSettingsPage.as_view(), name="settings"),
    path("settings/agents", settings.AgentsPage.as_view(), name="agents"),
    path("settings/agents/new", settings.AgentPage.as_view(), name="agent-new"),
    path("settings/agents/<uuid:agent>", settings.AgentPage.as_view(), name="agent"),
    path("settings/agents/<uuid:agent>/delete", settings.AgentDeletePage.as_view(), name="agent-delete"),
    path("settings/do-not-call", settings.DoNotCallPage.as_view(), name="do-not-call"),
    path("settings/do-not-call/import", settings.DoNotCallImportPage.as_view(), name="do-not-call-import"),
    path("settings/do-not-call/<int:pk>/remove", settings.DoNotCallRemovePage.as_view(), name="do-not-call-remove"),
]
