"""Keys and pairs follow their leads."""

import pytest

from crm.events.services import deliver_outbox
from duplicates.models import DuplicateGroup, DuplicatePair, LeadKeys, MatchWeights
from duplicates.selectors import DEFAULT_FIELDS, configuration, weights_in_force
from duplicates.services.checking import check_draft, refresh_leads
from duplicates.services.scanning import scanned_by
from duplicates.services.settings import save_settings
from leads.errors import DuplicateLead
from leads.services.bin import delete_leads, purge_leads
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


# --- what this process keeps of settings and weights ---


def test_a_check_reads_settings_and_weights_once_for_all_work(tenant, alice, twins, django_assert_num_queries):
    draft = LeadDraft(first_name="Zed", last_name="Quirk")
    with acting(alice) as by:
        check_draft(draft=draft, by=by)
    with acting(alice) as by, django_assert_num_queries(2):
        # One look whether what is known is still in force, one for the leads.
        check_draft(draft=draft, by=by)


def test_other_settings_and_weights_count_at_once(tenant, admin, twins):
    draft = LeadDraft(first_name="Annabel", last_name="Leighton", email="annabel@acme.example")
    with acting(admin) as by:
        assert check_draft(draft=draft, by=by)[0].levels["email"] == 3
    with acting(admin) as by:
        save_settings(fields=[{"name": "name", "comparator": "person"}], threshold=0.8, nightly=True, by=by)
        assert set(check_draft(draft=draft, by=by)[0].levels) == {"name"}
    with acting(admin) as by:
        before = weights_in_force()
        wanted = configuration()
        MatchWeights.objects.create(compared=wanted.signature, weights=wanted.general_model(10).as_json(), version=7)
    with acting(admin):
        assert (before.version, weights_in_force().version) == (0, 7)
    with acting(admin):
        MatchWeights.objects.update(version=8)
    with acting(admin):
        assert weights_in_force().version == 8


def test_settings_of_one_tenant_are_never_anothers(tenant, next_door, admin):
    with acting(admin) as by:
        save_settings(fields=[{"name": "city", "comparator": "text"}], threshold=0.7, nightly=True, by=by)
        assert configuration().threshold == 0.7
    with inside(next_door.pk):
        assert configuration().threshold == 0.8
    with inside(tenant.pk):
        assert configuration().threshold == 0.7


@pytest.mark.parametrize("name", ["born", "100% sure", "it's", 'a "b"'])
def test_custom_fields_of_any_name_find_a_draft(tenant, admin, refreshed, name):
    fields = [{"name": "name", "comparator": "person"}, {"name": f"custom:{name}", "comparator": "date"}]
    with acting(admin) as by:
        save_settings(fields=fields, threshold=0.8, nightly=True, by=by)
    lead = make_lead(tenant, first_name="Mara", last_name="Klein", custom_fields={name: "1990-04-12"})
    refreshed(lead)
    with acting(admin) as by:
        found = check_draft(draft=LeadDraft(first_name="Zara", last_name="Klein", custom_fields={name: "1990-04-12"}), by=by)
    assert [item.lead_id for item in found] == [lead.pk]


# --- adding a lead ---


def fuzzy(**fields):
    """Nobody's exact double, but Annabel all the same."""
    return LeadDraft(**{"first_name": "Anabel", "last_name": "Leighton", "company": "ACME Robotics", "city": "", **fields})


@pytest.fixture
def annabel(tenant, alice, refreshed):
    lead = make_lead(tenant, owner=alice, **ANN)
    refreshed(lead)
    return lead


def test_a_lead_much_like_one_that_is_there_is_refused_with_its_name(tenant, alice, annabel):
    with acting(alice) as by, pytest.raises(DuplicateLead) as refusal:
        capture_lead(draft=fuzzy(phone="+14155550124", email="annabel.leighton@acme.example"), by=by)
    found = refusal.value.details["candidates"][0]
    assert (found["id"], found["name"]) == (annabel.pk, "Annabel Leighton")
    assert 0.8 <= found["similarity_score"] <= 1
    assert set(found["matched_on"]) <= {"name", "email", "phone", "company"}
    assert found["matched_on"]


def test_a_rep_who_may_not_see_it_learns_only_that_it_is_there(bob, annabel):
    with acting(bob) as by, pytest.raises(DuplicateLead) as refusal:
        capture_lead(draft=fuzzy(phone="+14155550124", email="annabel.leighton@acme.example"), by=by)
    found = refusal.value.details["candidates"][0]
    assert (found["name"], found["company"]) == (None, None)


@pytest.mark.parametrize("options", [{"ignore_duplicates": True}, {"strict": False}])
def test_it_is_added_all_the_same_where_asked_for_or_where_nobody_waits(alice, annabel, options):
    with acting(alice) as by:
        assert capture_lead(draft=fuzzy(phone="+14155550124", email="annabel.leighton@acme.example"), by=by, **options).lead.pk


def test_below_the_tenants_threshold_nobody_is_asked(tenant, admin, annabel):
    with acting(admin) as by:
        fields = [dict(row) for row in DEFAULT_FIELDS]
        save_settings(fields=fields, threshold=0.999, nightly=True, by=by)
        assert capture_lead(draft=LeadDraft(name="Leighton, A.", company="Acme Robotics"), by=by).lead.pk


def test_the_api_answers_409_with_the_candidates(alice, api, annabel):
    body = {"name": "Anabel Leighton", "company": "ACME Robotics", "phone": "+1 415 555 0124", "email": "annabel.leighton@acme.example"}
    answer = api(alice).post("/api/leads", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "DUPLICATE_LEAD")
    assert [item["id"] for item in answer.json()["error"]["details"]["candidates"]] == [annabel.pk]
    assert api(alice).post("/api/leads", {**body, "ignore_duplicates": True}).status_code == 201


def test_the_page_shows_the_likely_double_and_adds_it_all_the_same(alice, pages, annabel):
    client = pages(alice)
    body = {"first_name": "Anabel", "last_name": "Leighton", "company": "ACME Robotics", "phone": "+14155550124", "priority": "2"}
    body |= {"email": "annabel.leighton@acme.example"}
    page = client.post("/leads/new", body)
    assert page.status_code == 422
    assert "Annabel Leighton" in page.content.decode()
    assert client.post("/leads/new", {**body, "ignore_duplicates": "1"}).status_code == 302


# --- leads deleted for good ---


def test_a_lead_deleted_for_good_takes_keys_pairs_and_empty_groups_along(tenant, admin, twins):
    with acting(admin) as by:
        purge_leads(lead_ids=[twins[0].pk], by=by)
    deliver_outbox()
    with inside(tenant.pk):
        assert set(LeadKeys.objects.values_list("lead_id", flat=True)) == {twins[1].pk}
        assert not DuplicatePair.objects.exists()
        assert not DuplicateGroup.objects.exists()


def test_of_a_larger_group_the_others_stay_together(tenant, admin, refreshed):
    leads = [make_lead(tenant, **ANN) for _ in range(3)]
    refreshed(*leads)
    with acting(admin) as by:
        found = DuplicateGroup.objects.get().found_at
        purge_leads(lead_ids=[leads[0].pk], by=by)
    deliver_outbox()
    with inside(tenant.pk):
        group = DuplicateGroup.objects.get()
        assert (group.size, group.found_at) == (2, found)
        assert list(group.pairs.values_list("first_id", "second_id")) == [(leads[1].pk, leads[2].pk)]
