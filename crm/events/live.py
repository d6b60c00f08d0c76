"""Tell open pages that something happened. Transient by design: a page that missed it asks again on its next poll."""

import json
from typing import Any

import structlog
from django.db import transaction

from crm.events.valkey import client
from crm.tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)


CHANNELS = "live:"


def channel(tenant_id: int) -> str:
    return f"{CHANNELS}{tenant_id}"


def tenant_of(name: str) -> int:
    """The tenant of a channel."""
    return int(name.removeprefix(CHANNELS))


def announce(event: str, *, data: dict[str, Any] | None = None, user_id: int | None = None) -> None:
    """Send after commit to the open tenant's pages, or to one user's only. `data` must be fit for every receiver."""
    message = json.dumps({"event": event, "data": data or {}, "user_id": user_id})
    target = channel(current_tenant_id())

    def send() -> None:
        try:
            client().publish(target, message)
        except Exception as error:  # pages fall back to polling
            log.warning("live_failed", event_name=event, error=str(error))

    transaction.on_commit(send)
