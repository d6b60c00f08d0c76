"""Wake the workers. A nudge may be lost: beat sweeps what is left, so a broker that is away delays and never loses."""

import structlog
from celery import current_app

from crm.events.valkey import client

log = structlog.get_logger(__name__)


def once(name: str) -> None:
    """Ask for a run of a task that empties a queue, unless one is already waiting to start and will see our rows."""
    try:
        if client().set(f"nudge:{name}", 1, nx=True, ex=5):
            current_app.send_task(name)
    except Exception as error:  # the broker may fail in any way; the rows are safe
        log.warning("nudge_failed", task=name, error=str(error))


def starting(name: str) -> None:
    """Called by the run before it reads, so that rows committed from now on ask for another."""
    try:
        client().delete(f"nudge:{name}")
    except Exception as error:
        log.warning("nudge_failed", task=name, error=str(error))


def task(name: str, **kwargs: object) -> None:
    """Send one task, best effort. Only for work that beat would find as well."""
    try:
        current_app.send_task(name, kwargs=kwargs)
    except Exception as error:
        log.warning("nudge_failed", task=name, error=str(error))
