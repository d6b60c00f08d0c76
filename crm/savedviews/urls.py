"""Pages of saved views."""

from django.urls import path

from crm.savedviews import pages

app_name = "savedviews"
urlpatterns = [
    path("views/<slug:list_name>/new", pages.NewViewPage.as_view(), name="new"),
    path("views/<int:pk>/edit", pages.EditViewPage.as_view(), name="edit"),
    path("views/<int:pk>/save", pages.KeepStatePage.as_view(), name="keep"),
    path("views/<int:pk>/delete", pages.DeleteViewPage.as_view(), name="delete"),
]
