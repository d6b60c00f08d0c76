from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SavedViewsConfig(AppConfig):
    name = "crm.savedviews"
    label = "savedviews"
    verbose_name = _("Saved views")

    def ready(self) -> None:
        from crm.savedviews import extensions  # noqa: F401 -- registers what this app gives the kernel
