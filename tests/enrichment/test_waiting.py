"""While others are asked, nobody waits: no transaction is open, no operation held, and every question is bounded in time."""

import socket
import threading
import time
from typing import Any

import pytest
from django.db import connection

from crm.operations import runner
from crm.operations.models import Operation
from crm.operations.services import cancel_operation
from enrichment.models import CachedAnswer, ProviderSettings
from enrichment.services import bulk
from enrichment.services.asking import Round
from enrichment.services.bulk import start_enrichment
from enrichment.services.http_provider import HttpProvider
from enrichment.services.outside import Unreachable, ask
from enrichment.services.settings import Wanted, delete_provider, save_provider
from leads.models import Lead
from tests.enrichment.people_server import people_server
from tests.factories import acting, inside, make_lead, make_user

committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(settings):
    settings.ALLOW_PRIVATE_HOSTS = True
    with people_server() as running:
        running.always = None
        yield running


@pytest.fixture
def provider(tenant, admin, server) -> ProviderSettings:
    options = {"url": f"{server.url}/?email={{email}}", "rules": "industry -> industry", "timeout": 2.0, "per_minute": 0, "cache_hours": 0}
    with acting(admin) as by:
        ProviderSettings.objects.filter(kind="inference").update(is_active=False)
        return save_provider(provider=None, wanted=Wanted(name="People", options=options), by=by)


@pytest.fixture
def in_transaction(monkeypatch) -> list[bool]:
    """Whether a transaction was open at each round of questions, or at a trial."""
    seen: list[bool] = []
    fetch, enrich = Round.fetch, HttpProvider.enrich

    def watched_fetch(self: Round, **options: Any) -> None:
        seen.append(connection.in_atomic_block)
        fetch(self, **options)

    def watched_enrich(self: HttpProvider, facts: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            seen.append(connection.in_atomic_block)
        return enrich(self, facts)

    monkeypatch.setattr(Round, "fetch", watched_fetch)
    monkeypatch.setattr(HttpProvider, "enrich", watched_enrich)
    return seen


def people(tenant: Any, server: Any, number: int) -> list[Lead]:
    for n in range(number):
        server.people[f"p{n}@acme.example"] = {"industry": "Fishing"}
    return [make_lead(tenant, first_name=f"P{n}", email=f"p{n}@acme.example") for n in range(number)]


def industries(tenant: Any) -> list[str]:
    with inside(tenant.pk):
        return list(Lead.objects.order_by("pk").values_list("industry", flat=True))


@committing
def test_no_door_asks_inside_its_transaction(tenant, alice, admin, server, provider, in_transaction, api, pages):
    one, two = people(tenant, server, 2)
    assert api(alice).post("/api/leads/enrich", {"lead_ids": [one.pk]}).status_code == 200
    assert pages(alice).post(f"/leads/{two.pk}/enrich").status_code == 302
    assert industries(tenant) == ["Fishing", "Fishing"]
    tried = pages(admin).post(f"/settings/enrichment/{provider.pk}/action", {"action": "try", "lead": str(one.pk)})
    assert "Fishing" in tried.content.decode()
    assert in_transaction == [False] * 3


@committing
def test_refusals_of_the_doors_stay_as_they_were(tenant, alice, bob, server, provider, in_transaction, api, pages):
    (lead,) = people(tenant, server, 1)
    support = make_user(tenant, role="support")
    assert api(support).post("/api/leads/enrich", {"lead_ids": [lead.pk]}).status_code == 403
    assert pages(support).post(f"/leads/{lead.pk}/enrich").status_code == 403
    assert pages(alice).post(f"/leads/{lead.pk + 999}/enrich").status_code == 404
    with inside(tenant.pk):
        ProviderSettings.objects.update(is_active=False)
    assert api(alice).post("/api/leads/enrich", {"lead_ids": [lead.pk]}).status_code == 409
    assert pages(alice).post(f"/leads/{lead.pk}/enrich").status_code == 302
    assert (in_transaction, server.asked) == ([], [])


@committing
def test_an_operation_asks_between_its_steps_and_counts_every_lead_once(tenant, alice, server, provider, in_transaction, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK_OUTSIDE", 2)
    leads = people(tenant, server, 3)
    with acting(alice) as by:
        operation = start_enrichment(ids=[*(lead.pk for lead in leads), 10**9], by=by)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation.refresh_from_db()
    assert (operation.state, operation.done, operation.updated, operation.failed) == ("done", 4, 3, 1)
    assert (operation.result, industries(tenant)) == ({"fields_found": 3}, ["Fishing"] * 3)
    assert in_transaction == [False, False]
    assert len(server.asked) == 3


@committing
def test_stopping_an_operation_does_not_wait_for_who_is_asked(tenant, alice, server, provider, monkeypatch):
    leads = people(tenant, server, 2)
    with acting(alice) as by:
        operation = start_enrichment(ids=[lead.pk for lead in leads], by=by)
    fetch = Round.fetch

    def cancel() -> None:
        try:
            with acting(alice) as by:
                cancel_operation(operation=Operation.objects.get(pk=operation.pk), by=by)
        finally:
            connection.close()

    def cancelled_meanwhile(self: Round, **options: Any) -> None:
        stopping = threading.Thread(target=cancel)
        stopping.start()
        stopping.join(5)
        assert not stopping.is_alive()
        fetch(self, **options)

    monkeypatch.setattr(Round, "fetch", cancelled_meanwhile)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation.refresh_from_db()
    assert (operation.state, operation.done, industries(tenant)) == ("cancelled", 0, ["", ""])


@committing
def test_another_worker_writes_what_one_has_asked(tenant, alice, server, provider):
    """A worker's turn is over after some seconds, most likely just when it has asked."""
    leads = people(tenant, server, 2)
    with acting(alice) as by:
        operation = start_enrichment(ids=[lead.pk for lead in leads], by=by)
    runner.run(operation.pk, seconds=0)
    with inside(tenant.pk):
        operation.refresh_from_db()
    assert (operation.state, operation.done, "asked" in operation.cursor) == ("running", 0, True)
    runner.run(operation.pk)
    assert industries(tenant) == ["Fishing", "Fishing"]
    assert len(server.asked) == 2


@committing
def test_a_provider_that_is_deleted_while_it_is_asked_is_no_error(tenant, alice, admin, server, provider, monkeypatch, api):
    (lead,) = people(tenant, server, 1)
    with acting(admin) as by:
        save_provider(provider=provider, wanted=Wanted(name="People", options={"cache_hours": 1}), by=by)
    fetch = Round.fetch

    def deleted_meanwhile(self: Round, **options: Any) -> None:
        fetch(self, **options)
        with acting(admin) as by:
            delete_provider(provider=ProviderSettings.objects.get(pk=provider.pk), by=by)

    monkeypatch.setattr(Round, "fetch", deleted_meanwhile)
    assert api(alice).post("/api/leads/enrich", {"lead_ids": [lead.pk]}).status_code == 200
    with inside(tenant.pk):
        assert (Lead.objects.get().industry, CachedAnswer.objects.count()) == ("Fishing", 0)


def test_a_slow_resolver_is_not_waited_for(monkeypatch):
    leave = threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        leave.wait(10)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    started = time.monotonic()
    try:
        with pytest.raises(Unreachable, match="No answer within"):
            ask(method="GET", url="http://slow.example/", headers={}, body=None, timeout=0.2)
        assert time.monotonic() - started < 2
    finally:
        leave.set()
