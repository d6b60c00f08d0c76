"""What arrivals held is forgotten after its time, and only then."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm.tenancy.models import Tenant
from leads.models import Arrival
from tests.factories import inside
from webhooks.services import retention


def arrival(tenant, name: str, *, days: int, status: str = "processed") -> None:
    with inside(tenant.pk):
        made = Arrival.objects.create(platform_key="api", source_lead_id=name, processing_status=status, payload={"a": 1})
        Arrival.objects.filter(pk=made.pk).update(received_at=timezone.now() - timedelta(days=days))


def kept(tenant) -> set[str]:
    with inside(tenant.pk):
        return set(Arrival.objects.exclude(payload={}).values_list("source_lead_id", flat=True))


@pytest.fixture(autouse=True)
def _few(monkeypatch, settings):
    monkeypatch.setattr(retention, "BATCH", 2)
    settings.ARRIVAL_RETENTION_DAYS = 30


def test_old_payloads_are_emptied_and_what_waits_or_failed_is_kept(tenant, next_door):
    for number in range(5):
        arrival(tenant, f"old-{number}", days=31)
    arrival(tenant, "young", days=29)
    arrival(tenant, "failed", days=90, status="failed")
    arrival(tenant, "waiting", days=90, status="received")
    arrival(next_door, "theirs", days=31)
    assert retention.forget_payloads() == 6
    assert (kept(tenant), kept(next_door)) == ({"young", "failed", "waiting"}, set())
    with inside(tenant.pk):
        assert Arrival.objects.count() == 8
    assert retention.forget_payloads() == 0


@pytest.mark.parametrize(("days", "left"), [(0, {"old"}), (90, {"old"}), (7, set())])
def test_a_tenant_may_have_its_own_time(tenant, days, left):
    Tenant.objects.filter(pk=tenant.pk).update(settings={"arrival_retention_days": days})
    arrival(tenant, "old", days=40)
    retention.forget_payloads()
    assert kept(tenant) == left
