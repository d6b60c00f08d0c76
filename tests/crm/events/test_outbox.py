"""Publish and deliver: never lost, effect once, whatever dies in between."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest
import structlog
from django.db import connection, transaction
from django.utils import timezone

from crm.events import bus, live, nudge, services
from crm.events.bus import DELIVERY, Event, publish, subscribe, subscribe_to_many, subscriber_of
from crm.events.models import OutboxEntry
from crm.events.services import GIVE_UP_AFTER, deliver_next, deliver_outbox
from crm.tenancy.scope import NoTenantOpen, current_scope, tenant_scope
from leads.models import Tag
from tests.factories import inside, make_tenant


@dataclass(frozen=True, kw_only=True)
class KettleBoiled(Event):
    """Something that happens in these tests only."""

    name = "test.kettle_boiled"
    litres: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HouseBuilt(Event):
    name = "test.house_built"
    tenantless = True
    rooms: int = 0


@pytest.fixture
def subscribers(monkeypatch):
    """Registries of these tests' own."""
    for registry in ("_in_transaction", "_after_commit", "_events"):
        monkeypatch.setattr(
            bus, registry, type(getattr(bus, registry))(getattr(bus, registry)) if registry == "_events" else _empty(registry)
        )
    monkeypatch.setattr(bus, "_of_many", set())
    return bus


def _empty(registry):
    from collections import defaultdict

    return defaultdict(list if registry == "_in_transaction" else dict)


taken: list[object] = []


def note_down(event: KettleBoiled) -> None:
    taken.append((event, current_scope().tenant_id, current_scope().request_id))


def make_tag(event: KettleBoiled) -> None:
    Tag.objects.create(name=event.note)


def break_down(event: Event) -> None:
    Tag.objects.create(name="half done")
    raise RuntimeError("no water")


@pytest.fixture(autouse=True)
def _forget():
    taken.clear()


def due() -> list[OutboxEntry]:
    return list(OutboxEntry.objects.order_by("id"))


# --- publish ---


def test_publish_refuses_outside_a_transaction(committed_db, subscribers):
    with pytest.raises(RuntimeError, match="outside a transaction"):
        publish(KettleBoiled())


def test_publish_refuses_outside_a_tenant(db, subscribers):
    with pytest.raises(NoTenantOpen):
        publish(KettleBoiled())


def test_event_of_no_tenant_is_delivered_without_one(db, subscribers):
    subscribe(HouseBuilt, taken.append)
    publish(HouseBuilt(rooms=3))
    assert due()[0].tenant_id is None
    assert deliver_outbox() == 1
    assert taken == [HouseBuilt(rooms=3)]


def test_publish_writes_one_row_for_each_subscriber_with_the_data(tenant, subscribers):
    subscribe(KettleBoiled, note_down)
    subscribe(KettleBoiled, make_tag)
    subscribe(KettleBoiled, make_tag)
    with tenant_scope(tenant.pk, request_id="r-1"):
        publish(KettleBoiled(litres=(1, 2), note="tea"))
    assert [(entry.event, entry.subscriber.rpartition(".")[2], entry.payload, entry.context) for entry in due()] == [
        ("test.kettle_boiled", name, {"litres": [1, 2], "note": "tea"}, {"request": "r-1"}) for name in ("note_down", "make_tag")
    ]


def test_subscriber_in_the_transaction_may_refuse_it(tenant, subscribers):
    subscribe(KettleBoiled, break_down, within=True)
    subscribe(KettleBoiled, note_down)
    with pytest.raises(RuntimeError, match="no water"), tenant_scope(tenant.pk):
        publish(KettleBoiled())
    assert due() == []
    with tenant_scope(tenant.pk):
        assert not Tag.objects.exists()


def test_rollback_loses_data_and_event_together(committed_db, subscribers):
    tenant = make_tenant()
    subscribe(KettleBoiled, note_down)
    with pytest.raises(ZeroDivisionError), tenant_scope(tenant.pk):  # noqa: PT012
        Tag.objects.create(name="gone")
        publish(KettleBoiled())
        raise ZeroDivisionError
    assert due() == []
    with tenant_scope(tenant.pk):
        assert not Tag.objects.exists()


def test_workers_are_nudged_after_commit_and_once(tenant, subscribers, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr(nudge.current_app, "send_task", lambda name, **_: sent.append(name))
    nudge.starting(DELIVERY)
    subscribe(KettleBoiled, note_down)
    with django_capture_on_commit_callbacks(execute=True):
        with tenant_scope(tenant.pk):
            publish(KettleBoiled())
            publish(KettleBoiled())
        assert sent == []
    assert sent == ["events.deliver_outbox"]
    nudge.starting(DELIVERY)
    nudge.once(DELIVERY)
    assert len(sent) == 2


def test_broker_and_store_that_are_away_only_log(tenant, subscribers, monkeypatch, django_capture_on_commit_callbacks):
    def away(*_, **__):
        raise ConnectionError("away")

    monkeypatch.setattr(nudge, "client", away)
    monkeypatch.setattr(live, "client", away)
    monkeypatch.setattr(nudge.current_app, "send_task", away)
    subscribe(KettleBoiled, note_down)
    with structlog.testing.capture_logs() as logs, django_capture_on_commit_callbacks(execute=True), tenant_scope(tenant.pk):
        publish(KettleBoiled())
        live.announce("kettle")
    nudge.starting(DELIVERY)
    nudge.task("operations.run", operation_id=1)
    assert {entry["event"] for entry in logs} == {"nudge_failed", "live_failed"}
    assert deliver_outbox() == 1
    assert len(taken) == 1


# --- deliver ---


def test_delivery_opens_the_tenant_and_names_the_request(tenant, subscribers):
    subscribe(KettleBoiled, note_down)
    with tenant_scope(tenant.pk, request_id="r-1"):
        publish(KettleBoiled(litres=(1,)))
    assert deliver_outbox() == 1
    assert taken == [(KettleBoiled(litres=(1,)), tenant.pk, "r-1")]
    assert (due(), deliver_outbox()) == ([], 0)


def test_subscriber_that_fails_is_undone_alone_and_tried_again_later(tenant, subscribers):
    subscribe(KettleBoiled, break_down)
    subscribe(KettleBoiled, make_tag)
    with tenant_scope(tenant.pk):
        publish(KettleBoiled(note="tea"))
    with structlog.testing.capture_logs() as logs:
        deliver_outbox()
    (entry,) = due()
    assert (entry.attempts, entry.last_error) == (1, "RuntimeError: no water")
    assert timedelta(seconds=1) < entry.next_try_at - timezone.now() <= timedelta(seconds=2)
    assert [log["event"] for log in logs] == ["delivery_failed"]
    with tenant_scope(tenant.pk):
        assert list(Tag.objects.values_list("name", flat=True)) == ["tea"]
    assert not deliver_next()


def test_back_off_grows_and_ends_in_giving_up(tenant, subscribers):
    subscribe(KettleBoiled, break_down)
    with tenant_scope(tenant.pk):
        publish(KettleBoiled())
    waits = []
    for attempt in range(1, GIVE_UP_AFTER + 1):
        OutboxEntry.objects.update(next_try_at=timezone.now())
        with structlog.testing.capture_logs():
            assert deliver_next()
        (entry,) = due()
        assert entry.attempts == attempt
        waits.append(entry.next_try_at and round((entry.next_try_at - timezone.now()).total_seconds()))
    assert waits == [min(2**n, 3600) for n in range(1, GIVE_UP_AFTER)] + [None]
    assert not deliver_next()


def test_entry_of_a_subscriber_that_is_gone_is_given_up_at_once(tenant, subscribers):
    with tenant_scope(tenant.pk):
        OutboxEntry.objects.create(tenant=tenant, event="test.unknown", subscriber="x", payload={})
    subscribe(KettleBoiled, note_down)
    with tenant_scope(tenant.pk):
        OutboxEntry.objects.create(tenant=tenant, event="test.kettle_boiled", subscriber="renamed.since", payload={})
    with structlog.testing.capture_logs():
        deliver_outbox()
    assert [(entry.attempts, entry.next_try_at) for entry in due()] == [(1, None), (1, None)]


def test_subscriber_that_looks_up_in_vain_is_tried_again(tenant, subscribers):
    """A KeyError inside a subscriber is a fault of that moment, not a subscriber that is gone."""

    subscribe(KettleBoiled, look_up_in_vain)
    with tenant_scope(tenant.pk):
        publish(KettleBoiled())
    with structlog.testing.capture_logs():
        deliver_outbox()
    (entry,) = due()
    assert entry.next_try_at is not None


def look_up_in_vain(event: KettleBoiled) -> None:
    raise KeyError("not yet there")


def test_event_with_a_field_that_is_gone_is_still_delivered(tenant, subscribers):
    subscribe(KettleBoiled, note_down)
    name = f"{note_down.__module__}.note_down"
    entry = OutboxEntry(tenant=tenant, event="test.kettle_boiled", subscriber=name, payload={"litres": [3], "colour": "red"})
    assert subscriber_of(entry) == (KettleBoiled(litres=(3,)), note_down)


def test_delivery_stops_at_its_limit(tenant, subscribers):
    subscribe(KettleBoiled, note_down)
    with tenant_scope(tenant.pk):
        for _ in range(3):
            publish(KettleBoiled())
    assert (deliver_outbox(limit=2), deliver_outbox(limit=2)) == (2, 1)


# --- many at once ---


def note_many(events: list[KettleBoiled]) -> None:
    taken.append(([event.note for event in events], current_scope().tenant_id))


def fail_on_the_third(events: list[KettleBoiled]) -> None:
    for event in events:
        Tag.objects.create(name=event.note)
    if any(event.note == "3" for event in events):
        raise RuntimeError("not the third")


def publish_each(tenant, *notes, **values):
    with tenant_scope(tenant.pk):
        for note in notes:
            publish(KettleBoiled(note=str(note), **values))


def test_subscriber_of_many_is_given_what_waits_at_once_and_by_tenant(tenant, subscribers):
    subscribe_to_many(KettleBoiled, note_many)
    subscribe(KettleBoiled, note_down)
    other = make_tenant()
    publish_each(tenant, 1, 2)
    publish_each(other, 3)
    publish_each(tenant, 4)
    assert deliver_outbox() == 8
    together = [entry for entry in taken if isinstance(entry[0], list)]
    assert together == [(["1", "2", "4"], tenant.pk), (["3"], other.pk)]
    assert len(taken) - len(together) == 4
    assert due() == []


def test_no_more_is_delivered_at_once_than_one_transaction_should_hold(tenant, subscribers, monkeypatch):
    monkeypatch.setattr(services, "MOST_VALUES", 5)
    subscribe_to_many(KettleBoiled, note_many)
    publish_each(tenant, 1, 2, 3, litres=(1, 2))
    deliver_outbox()
    assert [entry[0] for entry in taken] == [["1", "2"], ["3"]]


def test_what_fails_together_is_tried_one_by_one_at_once(tenant, subscribers):
    subscribe_to_many(KettleBoiled, fail_on_the_third)
    publish_each(tenant, 1, 2, 3, 4)
    deliver_outbox()
    with inside(tenant.pk):
        assert sorted(Tag.objects.values_list("name", flat=True)) == ["1", "2", "4"]
    (left,) = due()
    assert (left.payload["note"], left.attempts) == ("3", 2)
    assert "not the third" in left.last_error


# --- at once, and killed ---


@pytest.mark.slow
def test_eight_workers_deliver_each_entry_once(committed_db, subscribers):
    tenant = make_tenant()
    subscribe(KettleBoiled, make_tag)
    for number in range(60):
        with tenant_scope(tenant.pk):
            publish(KettleBoiled(note=f"n{number}"))
    delivered = []

    def work():
        try:
            # A worker that finds every row held ends; the sweep comes back.
            for _ in range(20):
                delivered.append(deliver_outbox())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(delivered) == 60
    assert not OutboxEntry.objects.exists()
    with inside(tenant.pk):
        assert Tag.objects.count() == 60


WORKER = """
import os, sys, time
import django
django.setup()
from crm.events import bus, services
from tests.crm.events.test_outbox import KettleBoiled, make_tag
def make_tag_and_hang(event):
    make_tag(event)
    print("hanging", flush=True)
    time.sleep(60)
bus._events[KettleBoiled.name] = KettleBoiled
bus._after_commit[KettleBoiled]["tests.crm.events.test_outbox.make_tag"] = make_tag_and_hang
services.deliver_next()
"""


@pytest.mark.slow
def test_worker_killed_between_effect_and_delete_leaves_the_effect_once(committed_db, subscribers):
    tenant = make_tenant()
    bus._events[KettleBoiled.name] = KettleBoiled
    bus._after_commit[KettleBoiled]["tests.crm.events.test_outbox.make_tag"] = make_tag
    with tenant_scope(tenant.pk):
        publish(KettleBoiled(note="tea"))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "hanging\n"
    assert not deliver_next(), "the row is held"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 10
    while not deliver_next():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with tenant_scope(tenant.pk):
        assert list(Tag.objects.values_list("name", flat=True)) == ["tea"]
    assert not OutboxEntry.objects.exists()


def test_task_delivers(tenant, subscribers):
    from crm.events.tasks import deliver_outbox as task

    subscribe(KettleBoiled, note_down)
    with transaction.atomic(), tenant_scope(tenant.pk):
        publish(KettleBoiled())
    task.run(tenant_id=1, unknown="argument of a newer release")
    assert len(taken) == 1
    assert services.deliver_outbox() == 0
