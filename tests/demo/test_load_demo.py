"""The demo: three believable tenants, loaded once."""

import io
from collections import Counter

import pytest
from django.core.management import CommandError, call_command

from crm.actors import Door
from crm.identity.models import Team, User
from crm.identity.selectors import actor_for
from crm.operations.models import Operation
from crm.savedviews.selectors import views_of
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from customobjects.selectors import definitions
from demo import services
from duplicates.enums import ScanState
from duplicates.models import DuplicateGroup, Scan
from leads.filters import LeadList
from leads.models import Arrival, Lead, LeadShare, WebForm
from leads.pages.columns import columns_for
from webhooks.models import Source
from webhooks.services.workbench import trial_of


def load() -> str:
    out = io.StringIO()
    call_command("load_demo", stdout=out)
    return out.getvalue().strip()


def assert_list_has_something_to_show(tenant: Tenant) -> None:
    """Custom fields with values, views that open, and people who are there twice."""
    assert [item.kind for item in definitions("leads.Lead").active] == ["money", "multi_choice", "date"]
    manager = actor_for(User.objects.get(email=f"manager@{tenant.name}.example"), door=Door.PAGE)
    views = views_of(manager, "leads")
    assert [(view.audience, view.is_pinned) for view in views] == [("everyone", True), ("everyone", False), ("everyone", False)]
    for view in views:
        assert set(view.query["col"]) <= set(columns_for(manager))
        assert LeadList(params={"filter": view.query["filter"]}, actor=manager).total() > 0, view.name
    assert LeadList(params={"cf_budget_min": "100000"}, actor=manager).total() > 0
    assert DuplicateGroup.objects.count() >= services.DOUBLES // 2
    assert Scan.objects.get().state == ScanState.DONE


@pytest.mark.slow
def test_demo_loads_once_and_is_believable(db, monkeypatch):
    monkeypatch.setattr(services, "LEADS", 120)
    assert load() == "3 demo tenants made."
    assert load() == "The demo tenants are there."
    tenants = list(Tenant.objects.order_by("pk"))
    assert [tenant.name for tenant in tenants] == ["fxcareers", "yamarkets", "nxgmarkets"]
    for tenant in tenants:
        with tenant_scope(tenant.pk):
            assert User.objects.count() == 5
            assert User.identities.get(email=f"rep2@{tenant.name}.example").check_password("magnet-demo")
            assert (Team.objects.count(), WebForm.objects.count(), LeadShare.objects.exists(), Arrival.objects.exists()) == (
                1,
                1,
                True,
                True,
            )
            # The last two came in by the webhook.
            assert Lead.objects.filter(operation_id=None).count() == 120 + 2 + services.DOUBLES
            assert_list_has_something_to_show(tenant)
            assert list(Source.objects.values_list("kind", flat=True)) == ["email", "facebook", "webhook"]
            by_outcome = Counter(arrival.outcome for arrival in Arrival.objects.filter(door__in=["facebook", "webhook"]).order_by("pk"))
            assert (by_outcome["received"], by_outcome["failed"], by_outcome["merged"]) == (2, 2, 1)
            assert all(trial_of(arrival).ok for arrival in Arrival.objects.filter(processing_status="processed"))
            assert all("at least one of" in arrival.error for arrival in Arrival.objects.filter(processing_status="failed"))
            operation = Operation.objects.get()
            assert (operation.state, operation.failed, operation.created + operation.skipped) == ("done", 2, 38)
            for lead in Lead.objects.exclude(phone=""):
                assert lead.phone[5:].startswith("55501"), lead.phone
            assert Lead.objects.filter(history__isnull=False).exists()
            assert not Lead.objects.filter(email="", phone="", company="").exists()
            assert all(lead.email.endswith(".example") for lead in Lead.objects.exclude(email=""))


def test_demo_is_refused_outside_the_demo(settings):
    settings.DEMO = False
    with pytest.raises(CommandError):
        load()
