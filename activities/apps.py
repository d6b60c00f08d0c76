from django.apps import AppConfig


class ActivitiesConfig(AppConfig):
    name = "activities"

    def ready(self) -> None:
        from activities import extensions  # noqa: F401 -- registers what this app gives the kernel
