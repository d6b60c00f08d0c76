"""The ledger of counts is the number of leads, whatever is done to them and whenever it is folded."""

import random

import pytest
from django.db.models import Count, Sum

from crm.tenancy.scope import tenant_scope
from leads.filters import LeadList
from leads.models import Lead, LeadCount, LeadShare, LeadStatus
from leads.selectors import counts_by_status
from leads.services import counts
from leads.services.counts import compact_counts
from tests.factories import acting, make_lead, make_tenant, make_user

FACETS = ("status_id", "owner_id", "priority", "lead_source")


def ledger() -> dict[tuple, int]:
    rows = LeadCount.objects.values_list(*FACETS).annotate(n=Sum("leads")).order_by()
    return {row[:-1]: row[-1] for row in rows if row[-1]}


def counted() -> dict[tuple, int]:
    rows = Lead.objects.live().values_list(*FACETS).annotate(n=Count("pk")).order_by()
    return {row[:-1]: row[-1] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_ledger_equals_a_count_after_random_work(tenant, alice, bob, seed, monkeypatch):
    monkeypatch.setattr(counts, "FOLD_ABOVE", 3)
    dice = random.Random(seed)
    with tenant_scope(tenant.pk):
        statuses = list(LeadStatus.objects.all())

    def facets() -> dict:
        return {
            "status": dice.choice(statuses),
            "owner": dice.choice([None, alice, bob]),
            "priority": dice.randint(1, 4),
            "lead_source": dice.choice(["", "Website"]),
            "platform_key": dice.choice(["api", "website"]),
        }

    for _ in range(40):
        with tenant_scope(tenant.pk):
            some = list(Lead.objects.order_by("?")[: dice.randint(0, 5)])
            work = dice.randrange(7)
            if work <= 1:
                base = make_lead(tenant)
                Lead.objects.bulk_create(
                    [Lead(**facets(), status_changed_at=base.created_at, created_at=base.created_at) for _ in range(dice.randint(1, 6))]
                )
            elif work == 2:
                Lead.objects.filter(pk__in=[lead.pk for lead in some]).update(**facets())
            elif work == 3:
                Lead.objects.filter(pk__in=[lead.pk for lead in some]).update(deleted_at=tenant.created_at)
            elif work == 4:
                Lead.objects.filter(deleted_at__isnull=False).update(deleted_at=None)
            elif work == 5:
                Lead.objects.filter(pk__in=[lead.pk for lead in some]).delete()
            else:
                Lead.objects.update(score=dice.randint(0, 100))
            assert ledger() == counted()
        if dice.random() < 0.3:
            compact_counts()
    with tenant_scope(tenant.pk):
        assert ledger() == counted()


def test_folding_shortens_and_changes_no_sum(tenant, next_door, monkeypatch):
    monkeypatch.setattr(counts, "FOLD_ABOVE", 2)
    for owner in (tenant, next_door):
        for _ in range(6):
            make_lead(owner)
    with tenant_scope(tenant.pk):
        before = ledger()
        assert LeadCount.objects.count() == 6
    assert compact_counts() == 2
    assert compact_counts() == 0
    with tenant_scope(tenant.pk):
        assert (ledger(), LeadCount.objects.count()) == (before, 1)


def test_work_that_changes_no_facet_writes_no_ledger_row(tenant):
    lead = make_lead(tenant)
    with tenant_scope(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(company="X", score=3)
        assert LeadCount.objects.count() == 1


def test_counts_by_status_are_those_in_sight(tenant, alice, bob):
    for owner in (alice, bob, None, None):
        make_lead(tenant, owner=owner)
    make_lead(tenant, owner=bob, status="won")
    make_lead(tenant, deleted_at=tenant.created_at)
    with acting(alice) as by:
        assert {status.code: number for status, number in counts_by_status(by) if number} == {"new": 4, "won": 1}
    with acting(bob) as by:
        assert {status.code: number for status, number in counts_by_status(by)} == {
            **dict.fromkeys(["qualified", "contacted", "meeting_scheduled", "proposal_sent", "negotiation", "lost"], 0),
            "new": 3,
            "won": 1,
        }


@pytest.mark.slow
@pytest.mark.parametrize("question", [{}, {"status": "new"}, {"search": "harper"}, {"tags": "hot"}, {"search": "harper", "tags": "hot"}])
def test_totals_are_the_rows_in_sight_for_every_kind_of_question(tenant, alice, bob, question):
    with acting(alice):
        for owner in (alice, bob, None):
            make_lead(tenant, owner=owner, first_name="Harper", tags=["hot"])
            make_lead(tenant, owner=owner, first_name="Logan", tags=["hot"])
        shared = make_lead(tenant, owner=alice, first_name="Harper", tags=["hot"])
        LeadShare.objects.create(lead=shared, user=bob)
    for user in (alice, bob):
        with acting(user) as by:
            leads = LeadList(params=question, actor=by)
            assert leads.total() == len(leads.listing.page(limit=100).ids) > 0


def test_two_workers_fold_at_once_without_harm(committed_db, monkeypatch):
    from tests.leads.services.test_intake import in_threads

    monkeypatch.setattr(counts, "FOLD_ABOVE", 2)
    tenant = make_tenant()
    make_user(tenant)
    for _ in range(8):
        make_lead(tenant)
    assert not [result for result in in_threads(3, lambda _: compact_counts()) if isinstance(result, Exception)]
    with tenant_scope(tenant.pk):
        assert ledger() == counted()
