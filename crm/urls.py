"""The project's routes. Apps register theirs; this file only says where each surface is mounted."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from crm.rest.routing import routes

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include(routes("crm"))),
    path("v1/", include((routes("crm"), "v1"))),
    path("admin/", admin.site.urls),
]

handler400 = "crm.web.errors.bad_request"
handler403 = "crm.web.errors.forbidden"
handler404 = "crm.web.errors.not_found"
handler500 = "crm.web.errors.server_error"
