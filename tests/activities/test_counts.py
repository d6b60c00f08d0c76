"""The ledger of counts against counting, whatever is written, in any zone, folded or not."""

import random
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, OwnerCount, PriorityCount, TypeCount
from activities.selectors import activities_visible_to, total_of
from activities.services import counts
from activities.services.counts import compact_counts, recount, sums, wrong_counts
from crm.tenancy.models import Tenant
from leads.models import Lead, LeadShare
from tests.factories import acting, inside, make_lead

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


def obvious(tenant, *, facets, since, until, user_id=None):
    """The same figures by reading every activity."""
    zone = ZoneInfo(Tenant.objects.get(pk=tenant.pk).time_zone)
    found: dict[tuple, int] = {}
    for row in Activity.objects.all():
        day = row.created_at.astimezone(zone).date()
        if (since is None or day >= since) and (until is None or day <= until) and (user_id is None or row.user_id == user_id):
            key = tuple(day if name == "day" else getattr(row, name) for name in facets)
            found[key] = found.get(key, 0) + 1
    return found


def counted(ledger, by, *, facets, since, until, user_id=None):
    rows = sums(ledger=ledger, facets=facets, user_id=user_id, since=since, until=until, by=by)
    return {tuple(row[name] for name in facets): row["n"] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_sums_equal_counting_after_any_mixture_of_writes(tenant, alice, bob, seed, monkeypatch):
    monkeypatch.setattr(counts, "FOLD_ABOVE", 0)
    dice = random.Random(seed)
    lead, other = make_lead(tenant, owner=alice), make_lead(tenant, owner=bob)
    edge = datetime(2024, 3, 31, 23, 50, tzinfo=UTC)
    with acting(alice) as by:
        for step in range(25):
            at = edge + timedelta(hours=dice.randint(-60, 60))
            match dice.randrange(8):
                case 0 | 1:
                    Activity.objects.bulk_create(
                        Activity(
                            lead=dice.choice((lead, other)), user=dice.choice((alice, bob, None)), activity_type=dice.choice(ActivityType.values),
                            priority=dice.randint(1, 4), status=dice.choice(("pending", "cancelled")), created_at=at,
                        )
                        for _ in range(dice.randint(1, 6))
                    )  # fmt: skip
                case 2:
                    Activity.objects.filter(priority=dice.randint(1, 4)).update(status="completed", completed_at=timezone.now())
                case 3:
                    Activity.objects.filter(pk__in=list(Activity.objects.values_list("pk", flat=True)[: dice.randint(0, 3)])).delete()
                case 4:
                    Activity.objects.filter(user=alice).update(user=dice.choice((bob, None)), priority=dice.randint(1, 4))
                case 5:
                    Tenant.objects.filter(pk=tenant.pk).update(time_zone=dice.choice(ZONES))
                case 6:
                    Lead.objects.filter(pk__in=dice.choice(([lead.pk], [lead.pk, other.pk]))).update(owner=dice.choice((alice, bob, None)))
                case 7:
                    Lead.objects.filter(pk=dice.choice((lead.pk, other.pk))).update(deleted_at=dice.choice((None, at)))
            if step % 7 == 0:
                compact_counts()
            assert wrong_counts() == 0
        since, until = edge.date() - timedelta(days=1), edge.date() + timedelta(days=1)
        for ledger, facets in (
            (TypeCount, ("activity_type", "status")), (TypeCount, ("user_id", "activity_type", "status")), (PriorityCount, ("priority", "status")),
            (TypeCount, ("day",)),
        ):  # fmt: skip
            for span in ({"since": None, "until": None}, {"since": since, "until": until}, {"since": until, "until": None}):
                for user_id in (None, alice.pk, bob.pk):
                    expected = obvious(tenant, facets=facets, user_id=user_id, **span)
                    assert counted(ledger, by, facets=facets, user_id=user_id, **span) == expected


@pytest.mark.parametrize("narrowed", [{}, {"priority": 3}, {"activity_type": "call", "status": "pending"}, {"status": "completed"}])
def test_a_rep_is_told_exactly_how_many_activities_they_see(tenant, alice, bob, narrowed):
    mine, nobodys, his, shared = (make_lead(tenant, owner=owner) for owner in (alice, None, bob, bob))
    with acting(bob):
        LeadShare.objects.create(lead=shared, user=alice)
        for lead, number in ((mine, 3), (nobodys, 2), (his, 5), (shared, 4)):
            for kind, priority in (("call", 3), ("note", 2)):
                Activity.objects.bulk_create(Activity(lead=lead, user=bob, activity_type=kind, priority=priority) for _ in range(number))
        Activity.objects.filter(activity_type="note").update(status="completed", completed_at=timezone.now())
    with acting(alice) as by:
        for change in ({}, {"owner": bob}, {"owner": None}, {"owner": alice, "deleted_at": timezone.now()}, {"deleted_at": None}):
            if change:
                Lead.objects.filter(pk=mine.pk).update(**change)
            # Open work goes with the lead from owner to owner, so whose it is changes too.
            for person in ({}, {"user_id": alice.pk}, {"user_id": bob.pk}):
                assert total_of(by, **person, **narrowed) == activities_visible_to(by).filter(**person, **narrowed).count()
        assert wrong_counts() == 0


def test_an_owner_and_their_open_work_change_hands_in_one_statement(tenant, alice, bob):
    lead = make_lead(tenant, owner=alice)
    with inside(tenant.pk):
        Activity.objects.create(lead=lead, user=alice, activity_type="task", due_at=timezone.now())
        Lead.objects.filter(pk=lead.pk).update(owner=bob, next_follow_up_at=None)
        assert Activity.objects.get().user_id == bob.pk
        assert wrong_counts() == 0
        Activity.objects.all().delete()
        Lead.objects.filter(pk=lead.pk).delete()
        assert wrong_counts() == 0
        assert sum(row.activities for row in OwnerCount.objects.all()) == 0


def test_the_ledger_by_owner_folds_into_one_row_a_cell(tenant, alice, bob, monkeypatch):
    monkeypatch.setattr(counts, "FOLD_ABOVE", 3)
    lead = make_lead(tenant, owner=alice)
    with inside(tenant.pk):
        for _ in range(6):
            Activity.objects.create(lead=lead, user=None, activity_type="call")
    compact_counts()
    with inside(tenant.pk):
        Lead.objects.filter(pk=lead.pk).update(owner=bob)
        for _ in range(4):
            Activity.objects.create(lead=lead, user=None, activity_type="call")
    compact_counts()
    with inside(tenant.pk):
        assert [(row.owner_id, row.user_id, row.activities, row.is_folded) for row in OwnerCount.objects.all()] == [(bob.pk, 0, 10, True)]
        assert wrong_counts() == 0


def test_folding_leaves_one_row_for_equal_facets(tenant, alice, monkeypatch):
    monkeypatch.setattr(counts, "FOLD_ABOVE", 3)
    lead = make_lead(tenant, owner=alice)
    with inside(tenant.pk):
        for _ in range(6):
            Activity.objects.create(lead=lead, user=alice, activity_type="call")
        assert TypeCount.objects.count() == 6
    compact_counts()
    with inside(tenant.pk):
        assert [(row.activities, row.is_folded) for row in TypeCount.objects.all()] == [(6, True)]
        assert wrong_counts() == 0


def test_the_command_finds_what_is_wrong_and_mends_it(tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with inside(tenant.pk):
        Activity.objects.create(lead=lead, user=alice, activity_type="call", status=ActivityStatus.PENDING)
    out = StringIO()
    call_command("verify_activity_counts", stdout=out)
    assert out.getvalue().strip() == "The counts are right."
    with inside(tenant.pk):
        TypeCount.objects.update(activities=7)
    with pytest.raises(CommandError):
        call_command("verify_activity_counts", stdout=StringIO())
    call_command("verify_activity_counts", "--mend", stdout=StringIO())
    with inside(tenant.pk):
        assert wrong_counts() == 0
        recount()
        assert wrong_counts() == 0
