from collections.abc import Callable
from typing import Any

import pytest

from crm.identity.models import User
from crm.tenancy.models import Tenant
from duplicates.services.checking import refresh_leads
from duplicates.services.scanning import scanned_by
from leads.models import Lead
from tests.factories import inside, make_lead

ANN = {
    "first_name": "Annabel",
    "last_name": "Leighton",
    "email": "annabel@acme.example",
    "phone": "+14155550123",
    "company": "Acme Robotics Inc.",
}


@pytest.fixture
def refreshed(tenant: Tenant) -> Callable[..., None]:
    """Bring keys, pairs and groups of leads up to date, as the subscribers do."""

    def refresh(*leads: Lead) -> None:
        with inside(tenant.pk):
            refresh_leads(lead_ids=[lead.pk for lead in leads], by=scanned_by(tenant.pk))

    return refresh


@pytest.fixture
def twins(tenant: Tenant, alice: User, refreshed: Any) -> tuple[Lead, Lead]:
    """Two leads that are one person, both Alice's, and their group."""
    pair = (
        make_lead(tenant, owner=alice, **ANN),
        make_lead(tenant, owner=alice, **{**ANN, "first_name": "Anabel", "phone": "", "company": "ACME Robotics"}),
    )
    refreshed(*pair)
    return pair
