from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class TenancyConfig(AppConfig):
    name = "crm.tenancy"
    label = "tenancy"
    verbose_name = _("Company")

    def ready(self) -> None:
        from crm.tenancy.walls import raise_walls

        post_migrate.connect(raise_walls, sender=self, dispatch_uid="crm.tenancy.walls")
