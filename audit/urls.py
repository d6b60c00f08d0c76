"""The audit log's page."""

from django.urls import path

from audit import pages

app_name = "audit"
urlpatterns = [path("settings/audit", pages.LogPage.as_view(), name="log")]
