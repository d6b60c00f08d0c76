"""The demo's queues and calls."""

import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from demo.dialer import make_dialer
from dialer.models import Call, CallingAgent, QueueEntry
from dialer.services.counts import wrong_counts
from tests.factories import make_lead, make_user

pytestmark = pytest.mark.django_db


def test_queues_and_calls_agree_with_each_other(tenant: Tenant) -> None:
    make_user(tenant, role="sales_rep")
    for number in range(60):
        make_lead(tenant, first_name="Jane", phone=f"+12125550{number:03d}")
    now = datetime(2025, 6, 10, 15, tzinfo=UTC)
    with tenant_scope(tenant.pk):
        made = make_dialer(now=now, dice=random.Random(4))
        assert made == Call.objects.count() > 20
        calls = Counter(Call.objects.values_list("entry_id", flat=True))
        for entry in QueueEntry.objects.all():
            assert entry.attempts_count == calls[entry.pk]
            assert (entry.status == "new") == (not calls[entry.pk])
            assert entry.status == "done" or entry.next_at > now
        assert not Call.objects.filter(created_at__gt=now).exists()
        assert set(CallingAgent.objects.values_list("kind", flat=True)) == {"human", "automated"}
        # Who tries document 2's calls with the first agent of the list has them made by the machine.
        first = CallingAgent.objects.order_by("name", "pk")[0]
        assert (first.kind, first.is_active) == ("automated", True)
        assert wrong_counts() == 0
