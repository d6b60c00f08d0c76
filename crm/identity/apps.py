from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class IdentityConfig(AppConfig):
    name = "crm.identity"
    label = "identity"
    verbose_name = _("People and access")

    def ready(self) -> None:
        from crm.identity import extensions  # noqa: F401 -- registers what this app gives the kernel

        # Before the admin makes its site, so that every registration lands in ours.
        apps.get_app_config("admin").default_site = "crm.admin.CrmAdminSite"  # type: ignore[attr-defined]
