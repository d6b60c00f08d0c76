from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TenancyConfig(AppConfig):
    name = "crm.tenancy"
    label = "tenancy"

    def ready(self) -> None:
        from crm.tenancy.walls import raise_walls  # noqa: PLC0415 -- needs the app registry

        post_migrate.connect(raise_walls, sender=self, dispatch_uid="crm.tenancy.walls")
