"""Publish and subscribe.

`publish()` runs in the writer's transaction. Subscribers *in the transaction* run at once and may refuse it; subscribers
*after it* get one outbox row each, so a process killed at any point delivers once more, never not at all.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from django.db import connection, transaction

from crm.events import live, nudge
from crm.events.models import OutboxEntry
from crm.tenancy.scope import current_scope, scope_or_none

# The task that empties the outbox.
DELIVERY = "events.deliver_outbox"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events: past tense, ids and plain values. `name` is public: webhooks and workflows show it."""

    name: ClassVar[str]
    # Open pages of the tenant are told the event's name (never its values) when this is set.
    live: ClassVar[bool] = False
    # True where the thing belongs to no tenant yet, such as a registration.
    tenantless: ClassVar[bool] = False


E = TypeVar("E", bound=Event)
Subscriber = Callable[[Any], None]

_in_transaction: dict[type[Event], list[Subscriber]] = defaultdict(list)
_after_commit: dict[type[Event], dict[str, Subscriber]] = defaultdict(dict)
# Those who take several events at once, by name.
_of_many: set[str] = set()
_events: dict[str, type[Event]] = {}


def subscribe(event: type[E], subscriber: Callable[[E], None], *, within: bool = False) -> None:
    """Register a subscriber: `within` the transaction, or after it through the outbox. Repeats are ignored."""
    _events[event.name] = event
    if within:
        if subscriber not in _in_transaction[event]:
            _in_transaction[event].append(subscriber)
    else:
        _after_commit[event][_name_of(subscriber)] = subscriber


def subscribe_to_many(event: type[E], subscriber: Callable[[Sequence[E]], None]) -> None:
    """Register a subscriber after the transaction that is given what happened meanwhile at once: events of one tenant, the oldest first.

    In a flood a hundred single events cost it little more than one. Should it fail, it is given them one by one.
    """
    _events[event.name] = event
    _after_commit[event][_name_of(subscriber)] = subscriber
    _of_many.add(_name_of(subscriber))


def takes_many(entry: OutboxEntry) -> bool:
    """Whether an entry may be delivered together with others for the same subscriber."""
    return entry.subscriber in _of_many


def _name_of(subscriber: Subscriber) -> str:
    return f"{subscriber.__module__}.{subscriber.__qualname__}"


def publish(event: Event) -> None:
    """Tell all subscribers. Refuses to run outside a transaction and a tenant."""
    if not connection.in_atomic_block:
        raise RuntimeError(f"{event.name} published outside a transaction.")
    kind = type(event)
    scope = scope_or_none() if kind.tenantless else current_scope()
    for within in _in_transaction[kind]:
        within(event)
    subscribers = _after_commit[kind]
    if subscribers:
        payload = dataclasses.asdict(event)
        context = {"request": scope.request_id} if scope else {}
        tenant_id = scope.tenant_id if scope else None
        OutboxEntry.objects.bulk_create(
            OutboxEntry(tenant_id=tenant_id, event=event.name, subscriber=name, payload=payload, context=context) for name in subscribers
        )
        transaction.on_commit(lambda: nudge.once(DELIVERY))
    if kind.live:
        live.announce(kind.name)


class UnknownSubscriber(LookupError):
    """An entry's event or subscriber was renamed or removed since it was written."""


def subscriber_of(entry: OutboxEntry) -> tuple[Event, Subscriber]:
    """Rebuild an entry's event and find its subscriber. Raises UnknownSubscriber."""
    kind = _events.get(entry.event)
    subscriber = _after_commit[kind].get(entry.subscriber) if kind is not None else None
    if kind is None or subscriber is None:
        raise UnknownSubscriber(f"{entry.event} → {entry.subscriber}")
    known = {field.name for field in dataclasses.fields(kind)}
    values = {key: _frozen(value) for key, value in entry.payload.items() if key in known}
    return kind(**values), subscriber


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
