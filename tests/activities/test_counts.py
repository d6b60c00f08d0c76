"""The ledger of counts against counting, whatever is written, in any zone, folded or not."""

import random
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, PriorityCount, TypeCount
from activities.services import counts
from activities.services.counts import compact_counts, recount, sums, wrong_counts
from crm.tenancy.models import Tenant
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
            match dice.randrange(6):
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
