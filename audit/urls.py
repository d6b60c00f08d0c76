"""Pages of the audit log and of undo."""

from django.urls import path

from audit import pages

app_name = "audit"
urlpatterns = [
    path("settings/audit", pages.LogPage.as_view(), name="log"),
    path("operations/<int:id>/undo", pages.UndoPage.as_view(), name="undo"),
]
