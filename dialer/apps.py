from django.apps import AppConfig


class DialerConfig(AppConfig):
    name = "dialer"

    def ready(self) -> None:
        from dialer import extensions  # noqa: F401 -- registers what this app gives the kernel
