from django.apps import AppConfig


class DuplicatesConfig(AppConfig):
    name = "duplicates"

    def ready(self) -> None:
        from duplicates import extensions  # noqa: F401 -- registers what this app gives the kernel
