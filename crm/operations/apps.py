from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    name = "crm.operations"
    label = "operations"
    verbose_name = _("Operations")

    def ready(self) -> None:
        from crm.operations import extensions  # noqa: F401 -- registers what this app gives the kernel
