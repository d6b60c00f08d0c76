from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "pipeline"

    def ready(self) -> None:
        from pipeline import extensions  # noqa: F401 -- registers what this app gives the kernel
