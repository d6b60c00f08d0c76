"""Keys and pairs follow their leads."""

import pytest

from crm.events.services import deliver_outbox
from duplicates.models import DuplicateGroup, DuplicatePair, LeadKeys
from duplicates.services.checking import check_draft, refresh_leads
from duplicates.services.scanning import scanned_by
from leads.services.bin import delete_leads
from leads.services.drafts import LeadDraft
from leads.services.editing import edit_lead
from leads.services.intake import capture_lead
from tests.duplicates.conftest import ANN
from tests.factories import acting, inside, make_lead

pytestmark = pytest.mark.django_db


def pairs(tenant):
    with inside(tenant.pk):
        return [(pair.first_id, pair.second_id) for pair in DuplicatePair.objects.order_by("first_id", "second_id")]


def test_similar_leads_make_a_pair_and_a_group(tenant, twins):
    with inside(tenant.pk):
        pair, group = DuplicatePair.objects.get(), DuplicateGroup.objects.get()
    assert (pair.first_id, pair.second_id) == (twins[0].pk, twins[1].pk)
    assert pair.group_id == group.pk
    assert group.size == 2
    assert pair.similarity == group.similarity > 0.95
    assert pair.levels["email"] == 3
    assert pair.levels["name"] == 4


def test_refreshing_twice_changes_nothing(tenant, twins, refreshed):
    with inside(tenant.pk):
        before = list(DuplicatePair.objects.values("first", "second", "similarity", "levels", "found_at"))
    refreshed(*twins)
    with inside(tenant.pk):
        assert list(DuplicatePair.objects.values("first", "second", "similarity", "levels", "found_at")) == before
        assert LeadKeys.objects.count() == 2
        assert DuplicateGroup.objects.count() == 1


def test_leads_of_another_tenant_are_never_compared(tenant, next_door, refreshed):
    mine, theirs = make_lead(tenant, **ANN), make_lead(next_door, **ANN)
    with inside(next_door.pk):
        refresh_leads(lead_ids=[theirs.pk], by=scanned_by(next_door.pk))
    refreshed(mine)
    assert pairs(tenant) == pairs(next_door) == []


def test_colleagues_are_not_similar(tenant, refreshed):
    one = make_lead(tenant, first_name="Ann", last_name="Lee", company="Acme", email="ann@acme.example", phone="+14155550100")
    other = make_lead(tenant, first_name="Robert", last_name="Ray", company="Acme", email="robert@acme.example", phone="+14155550100")
    refreshed(one, other)
    with inside(tenant.pk):
        assert not DuplicatePair.objects.filter(similarity__gte=0.8).exists()


def test_a_captured_lead_is_compared_with_those_there(tenant, alice, django_capture_on_commit_callbacks):
    there = make_lead(tenant, **ANN)
    with inside(tenant.pk):
        refresh_leads(lead_ids=[there.pk], by=scanned_by(tenant.pk))
    with acting(alice) as by:
        new = capture_lead(
            draft=LeadDraft(
                name="Leighton Annabel", company="Acme Robotics GmbH", email="annabel.leighton@mail.example", phone="415 555 0123"
            ),
            ignore_duplicates=True,
            by=by,
        ).lead
    deliver_outbox()
    assert pairs(tenant) == [(there.pk, new.pk)]


def test_an_edit_that_takes_the_likeness_away_takes_the_pair_away(tenant, alice, twins):
    with acting(alice) as by:
        edit_lead(lead_id=twins[1].pk, data={"name": "Xavier Quist", "email": "xavier@quist.example", "company": "Quist"}, by=by)
    deliver_outbox()
    assert pairs(tenant) == []
    with inside(tenant.pk):
        assert not DuplicateGroup.objects.exists()


def test_a_lead_in_the_bin_is_forgotten(tenant, admin, twins):
    with acting(admin) as by:
        delete_leads(lead_ids=[twins[0].pk], by=by)
    deliver_outbox()
    with inside(tenant.pk):
        assert pairs(tenant) == []
        assert set(LeadKeys.objects.values_list("lead_id", flat=True)) == {twins[1].pk}


def test_many_leads_at_once_take_no_more_queries(tenant, django_assert_max_num_queries):
    leads = [
        make_lead(tenant, first_name=f"Person{place}", last_name=f"Number{place}", email=f"p{place}@mail.example") for place in range(40)
    ]
    with inside(tenant.pk), django_assert_max_num_queries(35):
        refresh_leads(lead_ids=[lead.pk for lead in leads], by=scanned_by(tenant.pk))


@pytest.mark.parametrize("email", ["annabel@acme.example", ""])
def test_check_of_a_draft_writes_nothing(tenant, alice, twins, email):
    draft = LeadDraft(first_name="Annabell", last_name="Leighton", company="Acme Robotics", email=email, phone="+14155550123")
    with acting(alice) as by:
        found = check_draft(draft=draft, by=by)
    assert found[0].lead_id == twins[0].pk
    assert found[0].similarity > 0.9
    with inside(tenant.pk):
        assert LeadKeys.objects.count() == 2


def test_check_of_a_stranger_finds_nobody(twins, alice):
    with acting(alice) as by:
        assert check_draft(draft=LeadDraft(first_name="Zed", last_name="Quirk", email="zed@quirk.example"), by=by) == []
