from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import extensions  # noqa: F401, PLC0415 -- registers what this app gives the kernel
