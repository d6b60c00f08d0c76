"""Deliver the outbox."""

from contextlib import AbstractContextManager
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from crm.events import nudge
from crm.events.bus import DELIVERY, UnknownSubscriber, subscriber_of
from crm.events.models import OutboxEntry
from crm.tenancy.scope import tenant_scope

log = structlog.get_logger(__name__)
GIVE_UP_AFTER = 12


def deliver_outbox(*, limit: int = 5000) -> int:
    """Deliver what is due, oldest first, until nothing is left. Safe in any number of workers at once."""
    nudge.starting(DELIVERY)
    delivered = 0
    while delivered < limit and deliver_next():
        delivered += 1
    return delivered


def deliver_next() -> bool:
    """Claim one entry, run its subscriber and delete the entry in one transaction. False when none is due.

    A subscriber that raises is rolled back alone; the entry is tried again with back-off and given up, visibly, in the end.
    """
    with transaction.atomic():
        entry = OutboxEntry.objects.select_for_update(skip_locked=True).filter(next_try_at__lte=timezone.now()).order_by("id").first()
        if entry is None:
            return False
        try:
            with _scope_of(entry):
                event, subscriber = subscriber_of(entry)
                subscriber(event)
        except Exception as error:
            _postpone(entry, error)
        else:
            entry.delete()
    return True


def _scope_of(entry: OutboxEntry) -> AbstractContextManager[object]:
    if entry.tenant_id is None:
        return transaction.atomic()
    return tenant_scope(entry.tenant_id, request_id=entry.context.get("request") or "")


def _postpone(entry: OutboxEntry, error: Exception) -> None:
    entry.attempts += 1
    entry.last_error = f"{type(error).__name__}: {error}"[:2000]
    given_up = entry.attempts >= GIVE_UP_AFTER or isinstance(error, UnknownSubscriber)
    entry.next_try_at = None if given_up else timezone.now() + timedelta(seconds=min(2**entry.attempts, 3600))
    entry.save(update_fields=["attempts", "last_error", "next_try_at"])
    log.error("delivery_failed", delivery=str(entry), attempts=entry.attempts, given_up=given_up, error=entry.last_error)
