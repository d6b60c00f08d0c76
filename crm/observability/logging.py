"""One log for everything: the product's structlog calls and every library's standard logging, with request and tenant."""

import logging
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

PROBES = ("/health/", "/metrics")
# Names under which a secret may reach a log line. The value is never worth the risk.
SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "api_key")
# Libraries that tell of every message they carry.
CHATTY = ("httpx2", "celery.app.trace", "celery.worker.strategy", "kombu", "amqp")


def logging_config(*, fmt: str, level: str) -> dict[str, Any]:
    """Set structlog up and return the dictionary for Django's LOGGING. `fmt` is "json" or "console".

    Request and tenant ids are those bound in structlog's context variables where the line is written.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(fmt=fmt)],
            }
        },
        "filters": {"no_probes": {"()": NoProbes}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"level": level.upper(), "handlers": ["console"]},
        "loggers": {
            **{name: {"handlers": [], "propagate": True} for name in ("django", "django.server", "gunicorn.error")},
            "gunicorn.access": {"handlers": [], "propagate": True, "filters": ["no_probes"]},
            # A refused request is an answer, not an incident.
            "django.request": {"level": "ERROR", "handlers": [], "propagate": True},
            **{name: {"level": "INFO" if level.upper() == "DEBUG" else "WARNING"} for name in CHATTY},
        },
    }


def _renderers(*, fmt: str) -> list[Processor]:
    if fmt == "json":
        return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=str)]
    return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]


class NoProbes(logging.Filter):
    """Drop the requests that monitors make every few seconds, as long as they are answered well."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = record.args
        if not isinstance(request, Mapping):
            return True
        return not (str(request.get("U", "")).startswith(PROBES) and str(request.get("s")) == "200")


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Blank the values whose names say that they are secret."""
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "***"
    return event
