from django.urls import path

from enrichment.pages import lead, settings

app_name = "enrichment"
urlpatterns = [
    path("leads/enrich", lead.EnrichManyPage.as_view(), name="enrich-many"),
    path("leads/<int:pk>/enrich", lead.EnrichPage.as_view(), name="enrich"),
    path("settings/enrichment", settings.ProvidersPage.as_view(), name="providers"),
    path("settings/enrichment/new", settings.ProviderPage.as_view(), name="provider-new"),
    path("settings/enrichment/<int:pk>", settings.ProviderPage.as_view(), name="provider"),
    path("settings/enrichment/<int:pk>/action", settings.ProviderActionPage.as_view(), name="provider-action"),
]
