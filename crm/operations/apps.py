from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "crm.operations"
    label = "operations"

    def ready(self) -> None:
        from crm.operations import extensions  # noqa: F401, PLC0415 -- registers what this app gives the kernel
