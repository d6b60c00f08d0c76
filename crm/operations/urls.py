"""Pages of long work."""

from django.urls import path

from crm.operations import pages

app_name = "operations"
urlpatterns = [
    path("operations", pages.OperationsPage.as_view(), name="operations"),
    path("operations/<int:id>", pages.OperationPage.as_view(), name="operation"),
    path("operations/<int:id>/cancel", pages.CancelPage.as_view(), name="cancel"),
    path("operations/<int:id>/failed.csv", pages.FailedRowsPage.as_view(), name="failed-rows"),
]
