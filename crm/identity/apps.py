from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "crm.identity"
    label = "identity"

    def ready(self) -> None:
        from crm.identity import extensions  # noqa: F401, PLC0415 -- registers what this app gives the kernel
