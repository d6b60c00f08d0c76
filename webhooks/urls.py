from django.urls import path

from webhooks.pages import connections, inbox, mapping

app_name = "webhooks"
urlpatterns = [
    path("arrivals", inbox.InboxPage.as_view(), name="inbox"),
    path("arrivals/replay", inbox.ReplayFailedPage.as_view(), name="replay-failed"),
    path("arrivals/<int:pk>", inbox.ArrivalPage.as_view(), name="arrival"),
    path("arrivals/<int:pk>/replay", inbox.ReplayPage.as_view(), name="replay"),
    path("settings/connections", connections.ConnectionsPage.as_view(), name="connections"),
    path("settings/connections/new", connections.ConnectionPage.as_view(), name="connection-new"),
    path("settings/connections/<int:pk>", connections.ConnectionPage.as_view(), name="connection"),
    path("settings/connections/<int:pk>/action", connections.ConnectionActionPage.as_view(), name="connection-action"),
    path("settings/connections/<int:pk>/mapping", mapping.MappingPage.as_view(), name="mapping"),
]
