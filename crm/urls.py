"""The project's routes. Apps register theirs; this file only says where each surface is mounted."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from crm.rest.docs import BrowseView, DescriptionView
from crm.rest.routing import routes

# Pages of the apps, each with its own prefix inside.
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/openapi.yaml", DescriptionView.as_view(), name="api-description"),
    path("api/docs", BrowseView.as_view(), name="api-docs"),
    path("api/v1/openapi.yaml", DescriptionView.as_view(file="dialer.yaml"), name="dialer-description"),
    path("api/v1/docs", BrowseView.as_view(url_name="dialer-description"), name="dialer-docs"),
    path("api/v1/", include((routes("dialer"), "dialer-api"))),
    path("api/", include(routes("crm"))),
    path("v1/", include((routes("crm"), "v1"))),
    path("hooks/voice/", include("dialer.api.callbacks")),
    path("admin/", admin.site.urls),
    path("", include("crm.observability.urls")),
    path("", include("crm.web.urls")),
    path("", include("crm.identity.urls")),
    path("", include("crm.operations.urls")),
    path("", include("crm.savedviews.urls")),
    path("", include("notifications.urls")),
    path("", include("activities.urls")),
    path("", include("leads.urls")),
    path("", include("enrichment.urls")),
    path("", include("pipeline.urls")),
    path("", include("webhooks.urls")),
    path("", include("duplicates.urls")),
    path("", include("assignments.urls")),
    path("", include("dialer.urls")),
    path("", include("audit.urls")),
]

handler400 = "crm.web.errors.bad_request"
handler403 = "crm.web.errors.forbidden"
handler404 = "crm.web.errors.not_found"
handler500 = "crm.web.errors.server_error"
