from django.apps import AppConfig


class EnrichmentConfig(AppConfig):
    name = "enrichment"

    def ready(self) -> None:
        from enrichment import extensions  # noqa: F401 -- registers what this app gives the kernel
