from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CustomObjectsConfig(AppConfig):
    name = "customobjects"
    verbose_name = _("custom fields")

    def ready(self) -> None:
        from customobjects import extensions  # noqa: F401 -- registers what this app gives the kernel
