from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        from notifications import extensions  # noqa: F401 -- registers what this app gives the kernel
