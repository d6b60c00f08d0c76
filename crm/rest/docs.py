"""The API's description: the committed file, and pages to browse it, all served from here."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest
from django.views.generic import View
from drf_spectacular.views import SpectacularSwaggerSplitView


class DescriptionView(View):
    """A surface's OpenAPI 3.1 file as it was committed; `make check` fails where it has drifted from the code."""

    file = "openapi.yaml"

    def get(self, request: HttpRequest) -> FileResponse:
        path = Path(settings.BASE_DIR) / "docs" / "api" / self.file
        return FileResponse(path.open("rb"), content_type="application/yaml")


class BrowseView(SpectacularSwaggerSplitView):
    """Swagger UI from our own static files."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    url_name = "api-description"
