from django.urls import path

from customobjects.pages import settings

app_name = "customobjects"
urlpatterns = [
    path("settings/custom-fields", settings.FieldsPage.as_view(), name="fields"),
    path("settings/custom-fields/new", settings.FieldPage.as_view(), name="field-new"),
    path("settings/custom-fields/<int:pk>", settings.FieldPage.as_view(), name="field"),
    path("settings/custom-fields/<int:pk>/action", settings.FieldActionPage.as_view(), name="field-action"),
]
