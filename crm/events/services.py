"""Deliver the outbox."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from crm.events import nudge
from crm.events.bus import DELIVERY, UnknownSubscriber, subscriber_of, takes_many
from crm.events.models import OutboxEntry
from crm.tenancy.scope import tenant_scope

log = structlog.get_logger(__name__)
GIVE_UP_AFTER = 12
# What is delivered at once to a subscriber of many: so many events, about so many ids.
MOST_TOGETHER, MOST_VALUES = 200, 5000


def deliver_outbox(*, limit: int = 5000) -> int:
    """Deliver what is due, oldest first, until nothing is left. Safe in any number of workers at once."""
    nudge.starting(DELIVERY)
    delivered = 0
    while delivered < limit and (done := deliver_next()):
        delivered += done
    return delivered


def deliver_next() -> int:
    """Claim one entry, run its subscriber and delete the entry in one transaction. Answers how many were seen to; 0 when none is due.

    A subscriber of many gets those beside it too. One that raises is rolled back alone; its entry is tried again with back-off
    and given up, visibly, in the end; several entries are tried again one by one, at once.
    """
    with transaction.atomic():
        entry = OutboxEntry.objects.select_for_update(skip_locked=True).filter(next_try_at__lte=timezone.now()).order_by("id").first()
        if entry is None:
            return 0
        entries = [entry, *_beside(entry)]
        try:
            with _scope_of(entry):
                _deliver(entries)
        except Exception as error:
            if len(entries) == 1:
                _postpone(entry, error)
            else:
                OutboxEntry.objects.filter(pk__in=[item.pk for item in entries]).update(attempts=1)
                log.warning("deliveries_failed_together", delivery=str(entry), entries=len(entries), error=str(error))
        else:
            OutboxEntry.objects.filter(pk__in=[item.pk for item in entries]).delete()
    return len(entries)


def _beside(entry: OutboxEntry) -> list[OutboxEntry]:
    """Further due entries for the same subscriber and tenant that were not tried yet, as many as one transaction should hold."""
    if not takes_many(entry) or entry.attempts:
        return []
    same = OutboxEntry.objects.select_for_update(skip_locked=True).filter(  # type: ignore[misc]
        next_try_at__lte=timezone.now(), tenant_id=entry.tenant_id, event=entry.event, subscriber=entry.subscriber, attempts=0
    )
    taken, size = [], _size(entry)
    for other in same.exclude(pk=entry.pk).order_by("id")[: MOST_TOGETHER - 1]:
        size += _size(other)
        if size > MOST_VALUES:
            break
        taken.append(other)
    return taken


def _size(entry: OutboxEntry) -> int:
    """How many ids an event is about."""
    return sum(len(value) for value in entry.payload.values() if isinstance(value, list)) or 1


def _deliver(entries: Sequence[OutboxEntry]) -> None:
    event, subscriber = subscriber_of(entries[0])
    if takes_many(entries[0]):
        subscriber([event, *(subscriber_of(entry)[0] for entry in entries[1:])])
    else:
        subscriber(event)


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
