"""What people decide is remembered."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from crm.errors import Forbidden, InvalidInput, NotFound
from duplicates.enums import Verdict
from duplicates.models import Decision, DuplicateGroup, DuplicatePair
from duplicates.selectors.groups import groups_after
from duplicates.services.deciding import keep_separate, put_off, take_back
from tests.duplicates.conftest import ANN
from tests.factories import acting, inside, make_lead, make_user

pytestmark = pytest.mark.django_db


def ids(leads):
    return [lead.pk for lead in leads]


def queue(user, *, later=False):
    with acting(user) as by:
        return [group.lead_ids for group in groups_after(by, threshold=0.8, later=later, limit=10)[0]]


def test_kept_separate_stays_separate(alice, twins, refreshed):
    with acting(alice) as by:
        assert keep_separate(lead_ids=ids(twins), by=by) == 1
    refreshed(*twins)
    assert queue(alice) == []
    with inside(alice.tenant_id):
        assert DuplicatePair.objects.count() == 1
        decision = Decision.objects.get()
    assert (decision.verdict, decision.decided_by_id) == (Verdict.SEPARATE, alice.pk)


def test_taking_it_back_brings_them_back(alice, twins):
    with acting(alice) as by:
        keep_separate(lead_ids=ids(twins), by=by)
        assert take_back(lead_ids=ids(twins), verdict=Verdict.SEPARATE, by=by) == 1
    assert queue(alice) == [ids(twins)]


def test_put_off_comes_back_after_a_week(alice, twins):
    with acting(alice) as by:
        put_off(lead_ids=ids(twins), by=by)
    assert (queue(alice), queue(alice, later=True)) == ([], [ids(twins)])
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert (queue(alice), queue(alice, later=True)) == ([ids(twins)], [])


def test_of_three_the_separate_one_leaves_the_group(tenant, alice, twins, refreshed):
    third = make_lead(tenant, owner=alice, **ANN)
    refreshed(third)
    assert queue(alice) == [[*ids(twins), third.pk]]
    with acting(alice) as by:
        keep_separate(lead_ids=[twins[0].pk, twins[1].pk], by=by)
        keep_separate(lead_ids=[twins[1].pk, third.pk], by=by)
    assert queue(alice) == [[twins[0].pk, third.pk]]


def test_leads_out_of_sight_cannot_be_decided_on(tenant, bob, twins):
    with acting(bob) as by, pytest.raises(NotFound):
        keep_separate(lead_ids=ids(twins), by=by)
    with inside(tenant.pk):
        assert not Decision.objects.exists()
        assert DuplicateGroup.objects.count() == 1


def test_support_may_look_but_not_decide(tenant, twins):
    helper = make_user(tenant, role="support")
    assert queue(helper) == [ids(twins)]
    with acting(helper) as by, pytest.raises(Forbidden):
        keep_separate(lead_ids=ids(twins), by=by)


def test_one_lead_alone_is_refused(alice, twins):
    with acting(alice) as by, pytest.raises(InvalidInput):
        keep_separate(lead_ids=[twins[0].pk, twins[0].pk], by=by)


def test_a_rep_sees_a_group_as_far_as_its_leads(tenant, alice, bob, refreshed):
    mine = [make_lead(tenant, owner=bob, **ANN) for _ in range(2)]
    hers = make_lead(tenant, owner=alice, **ANN)
    refreshed(*mine, hers)
    assert queue(bob) == [ids(mine)]
    assert queue(alice) == [[*ids(mine), hers.pk]]
