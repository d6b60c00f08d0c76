from django.apps import AppConfig


class AssignmentsConfig(AppConfig):
    name = "assignments"

    def ready(self) -> None:
        from assignments import extensions  # noqa: F401 -- registers what this app gives the kernel
