from django.apps import AppConfig


class LeadsConfig(AppConfig):
    name = "leads"

    def ready(self) -> None:
        from leads import extensions  # noqa: F401 -- registers what this app gives the kernel
