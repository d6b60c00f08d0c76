from django.apps import AppConfig


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from scoring import extensions  # noqa: F401 -- registers what this app gives the kernel
