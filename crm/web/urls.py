from django.urls import path

from crm.web import gallery, views

app_name = "web"
urlpatterns = [
    path("settings", views.SettingsPage.as_view(), name="settings"),
    path("search", views.SearchPage.as_view(), name="search"),
    path("search/palette", views.PalettePage.as_view(), name="palette"),
    path("ui/", gallery.gallery, name="gallery"),
]
