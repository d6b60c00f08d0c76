from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        from webhooks import extensions  # noqa: F401 -- registers what this app gives the kernel
