"""Merging: rules and their precedence, what goes along, the old address, and parting again also after later edits."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm.errors import Forbidden, InvalidInput, NotFound
from duplicates.models import Merge
from duplicates.services.merge_rules import MergeRules
from duplicates.services.merging import MergeUndone, merge_leads, preview_merge, undo_merge
from leads.enums import Priority
from leads.models import Arrival, Lead, LeadShare
from leads.services.bin import KEPT_FOR, binned_leads, purge_bin
from leads.services.editing import edit_lead, find_lead
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead, make_user


def merge(user, source, target, rules=None, **options):
    with acting(user) as by:
        return merge_leads(target_id=target.pk, source_ids=[source.pk], rules=MergeRules.read(rules or {}), by=by, **options)


def stored(lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.select_related("status").get(pk=lead.pk)


@pytest.fixture
def pair(tenant):
    now = timezone.now()
    source = make_lead(
        tenant, first_name="Jon", last_name="Smith", email="jon@x.example", title="CTO", tags=["vip", "a"], notes="From the fair.",
        custom_fields={"budget": "5", "region": "EU"}, priority=Priority.HIGH, created_at=now - timedelta(days=9), conversion_probability=0.7,
    )  # fmt: skip
    target = make_lead(
        tenant, first_name="John", last_name="Smith", email="john@x.example", company="Acme", tags=["A", "b"], notes="Called.",
        custom_fields={"budget": "7"}, created_at=now, conversion_probability=0.2,
    )  # fmt: skip
    return source, target


def test_without_rules_the_target_wins_unless_empty(alice, pair):
    source, target = pair
    merge(alice, source, target)
    lead = stored(target)
    assert (lead.full_name, lead.email, lead.company, lead.title) == ("John Smith", "john@x.example", "Acme", "CTO")
    assert (lead.tags, lead.notes, lead.custom_fields) == (["A", "b"], "Called.", {"budget": "7", "region": "EU"})
    assert stored(source).deleted_at is not None


def test_the_documented_rules_in_their_precedence(alice, pair):
    source, target = pair
    rules = {
        "prefer_source": ["tags", "notes", "name"],
        "prefer_target": ["created_at", "name"],
        "combine": ["tags", "notes"],
        "max_value": ["score", "conversion_probability", "priority"],
    }
    merged = merge(alice, source, target, rules)
    lead = stored(target)
    assert lead.tags == ["A", "b", "vip"]
    assert lead.notes == "Called.\n\nFrom the fair."
    assert (lead.conversion_probability, lead.priority, lead.full_name) == (0.7, Priority.HIGH, "Jon Smith")
    assert lead.created_at == target.created_at
    assert merged.applied["tags"] == "combine"
    assert merged.applied["name"] == "prefer_source"
    assert merged.applied["score"] == "recalculated"


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"combine": ["email"]}, "merge_rules.combine"),
        ({"max_value": ["notes"]}, "merge_rules.max_value"),
        ({"prefer_source": ["nonsense"]}, "merge_rules.prefer_source"),
    ],
)
def test_rules_for_fields_they_do_not_fit_are_refused(rules, field):
    with pytest.raises(InvalidInput) as refusal:
        MergeRules.read(rules)
    assert list(refusal.value.problems) == [field]


def test_single_fields_can_be_chosen(alice, pair):
    source, target = pair
    merge(alice, source, target, values={"email": source.pk})
    lead = stored(target)
    assert (lead.email, lead.email_key) == ("jon@x.example", "jon@x.example")


def test_what_hangs_on_the_loser_goes_along_and_comes_back(alice, bob, tenant, pair):
    source, target = pair
    with acting(alice):
        arrival = Arrival.objects.create(lead=source, platform_key="website", source_lead_id="1")
        LeadShare.objects.create(lead=source, user=bob)
        LeadShare.objects.create(lead=target, user=bob)
    merged = merge(alice, source, target)
    with inside(tenant.pk):
        assert Arrival.objects.get(pk=arrival.pk).lead_id == target.pk
        assert LeadShare.objects.filter(lead=target).count() == 1
    with acting(alice) as by:
        undo_merge(merge_id=merged.merges[0].pk, by=by)
    with inside(tenant.pk):
        assert Arrival.objects.get(pk=arrival.pk).lead_id == source.pk
        assert LeadShare.objects.filter(lead=source).count() == 1


def test_parting_leaves_and_lists_what_was_changed_since(alice, tenant, pair):
    source, target = pair
    before = stored(target)
    merged = merge(alice, source, target, {"prefer_source": ["name", "title"], "combine": ["tags", "notes"]})
    with acting(alice) as by:
        edit_lead(lead_id=target.pk, data={"title": "CEO", "industry": "Energy"}, by=by)
        parted = undo_merge(merge_id=merged.merges[0].pk, by=by)
    lead = stored(target)
    assert (lead.full_name, lead.tags, lead.notes, lead.title, lead.industry) == (
        before.full_name,
        before.tags,
        before.notes,
        "CEO",
        "Energy",
    )
    assert [item["field"] for item in parted.kept] == ["title"]
    loser = stored(source)
    assert (loser.deleted_at, loser.full_name, loser.tags) == (None, "Jon Smith", ["vip", "a"])
    with acting(alice) as by, pytest.raises(MergeUndone):
        undo_merge(merge_id=merged.merges[0].pk, by=by)


def test_several_leads_become_one_and_each_can_be_parted(alice, tenant):
    first, second, third = (make_lead(tenant, first_name=f"N{number}", tags=[str(number)]) for number in range(3))
    with acting(alice) as by:
        merged = merge_leads(target_id=first.pk, source_ids=[second.pk, third.pk], rules=MergeRules(combine=("tags",)), by=by)
        assert stored(first).tags == ["0", "1", "2"]
        undo_merge(merge_id=merged.merges[1].pk, by=by)
    assert stored(first).tags == ["0", "1"]
    assert [stored(lead).deleted_at is None for lead in (second, third)] == [False, True]


def test_the_old_address_answers_with_the_winner_through_any_chain(alice, pair, tenant, api, pages):
    source, target = pair
    last = make_lead(tenant, first_name="Last")
    merge(alice, source, target)
    merge(alice, target, last)
    with acting(alice) as by:
        assert find_lead(lead_id=source.pk, by=by).pk == last.pk
    assert api(alice).get(f"/api/leads/{source.pk}").json()["data"]["id"] == last.pk
    assert pages(alice).get(f"/leads/{source.pk}", follow=True).status_code == 200


def test_merged_leads_are_in_no_bin_and_are_not_purged(alice, pair, tenant):
    source, target = pair
    merge(alice, source, target)
    with acting(alice) as by:
        assert not binned_leads(by).exists()
    with inside(tenant.pk):
        Lead.objects.filter(pk=source.pk).update(deleted_at=timezone.now() - KEPT_FOR - timedelta(days=1))
    assert purge_bin() == 0


def test_only_leads_in_sight_and_only_by_who_may(alice, bob, mallory, tenant):
    hers, mine, foreign = make_lead(tenant, owner=alice), make_lead(tenant, owner=bob), make_lead(mallory.tenant)
    helper = make_user(tenant, role="support")
    for source, target, user in ((hers, mine, bob), (mine, hers, bob), (foreign, mine, alice), (mine, foreign, alice)):
        with pytest.raises(NotFound):
            merge(user, source, target)
    with pytest.raises(Forbidden):
        merge(helper, hers, mine)
    with pytest.raises(InvalidInput):
        merge(alice, mine, mine)
    with inside(tenant.pk):
        assert not Merge.objects.exists()
        assert not Lead.objects.filter(deleted_at__isnull=False).exists()


def test_a_preview_writes_nothing(alice, pair, tenant):
    source, target = pair
    with acting(alice) as by:
        merged = preview_merge(target_id=target.pk, source_ids=[source.pk], rules=MergeRules(combine=("tags",)), by=by)
    assert merged.lead.tags == ["A", "b", "vip"]
    assert stored(target).tags == ["A", "b"]
    with inside(tenant.pk):
        assert not Merge.objects.exists()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_several_merges_are_taken_back_in_any_order(alice, tenant, order):
    winner = make_lead(tenant, first_name="Ann", tags=["a"], notes="Own.", custom_fields={"plan": "gold"})
    losers = [
        make_lead(tenant, first_name=f"L{number}", tags=["a", "x", f"t{number}"], notes=f"Note {number}.", title="CEO", custom_fields={"k": number, f"o{number}": 1})
        for number in range(3)
    ]  # fmt: skip
    before = stored(winner)
    rules = {"combine": ["tags", "notes"]}
    merges = [merge(alice, loser, winner, rules).merges[0] for loser in losers]
    with acting(alice) as by:
        for number in order:
            parted = undo_merge(merge_id=merges[number].pk, by=by)
            assert parted.kept == []
    after = stored(winner)
    assert (after.tags, after.notes, after.title, after.custom_fields) == (before.tags, before.notes, before.title, before.custom_fields)
    assert [stored(loser).tags for loser in losers] == [["a", "x", f"t{number}"] for number in range(3)]


def test_one_further_field_changed_since_stays_alone(alice, pair):
    source, target = pair
    made = merge(alice, source, target).merges[0]
    with acting(alice) as by:
        edit_lead(lead_id=target.pk, data={"custom_fields": {"budget": "9"}}, by=by)
        parted = undo_merge(merge_id=made.pk, by=by)
    assert parted.kept == []
    assert stored(target).custom_fields == {"budget": "9"}


def test_a_chosen_value_leaves_with_the_lead_it_came_from(alice, tenant):
    first, second, third = (make_lead(tenant, first_name="N", title=f"T{number}") for number in range(3))
    with acting(alice) as by:
        merged = merge_leads(target_id=first.pk, source_ids=[second.pk, third.pk], rules=MergeRules(), values={"title": second.pk}, by=by)
        undo_merge(merge_id=merged.merges[1].pk, by=by)
        assert stored(first).title == "T1"
        undo_merge(merge_id=merged.merges[0].pk, by=by)
    assert stored(first).title == "T0"


def test_a_merge_keeps_to_the_rules_of_ownership_and_of_locked_fields(alice, bob, tenant):
    mine, nobodys = make_lead(tenant, owner=bob), make_lead(tenant)
    hers = make_lead(tenant, owner=alice, custom_fields={"plan": "gold"})
    with acting(alice):
        LeadShare.objects.create(lead=hers, user=bob)
    with pytest.raises(Forbidden, match="become part"):
        merge(bob, hers, mine)
    with pytest.raises(Forbidden, match="give them"):
        merge(bob, mine, hers, {"prefer_source": ["assigned_to"]})
    make_field(tenant, "text", label="Plan", editable_by=["manager"])
    with inside(tenant.pk):
        Lead.objects.filter(pk=mine.pk).update(custom_fields={"plan": "free"})
    merge(bob, mine, hers, {"prefer_source": ["custom_fields"]})
    assert stored(hers).custom_fields == {"plan": "gold"}
    merge(bob, nobodys, hers)
    assert stored(nobodys).deleted_at is not None


# --- doors ---


def test_the_documented_request(alice, api, pair):
    source, target = pair
    body = {
        "source_lead_id": str(source.pk),
        "target_lead_id": str(target.pk),
        "preview": False,
        "merge_rules": {
            "prefer_source": ["tags", "notes"],
            "prefer_target": ["created_at"],
            "combine": ["tags", "notes"],
            "max_value": ["score", "conversion_probability"],
        },
    }
    preview = api(alice).post("/api/leads/merge", {**body, "preview": True}).json()["data"]
    assert (preview["merge_info"]["preview"], preview["merged_lead"]["tags"]) == (True, ["A", "b", "vip"])
    answer = api(alice).post("/api/leads/merge", body)
    info = answer.json()["data"]["merge_info"]
    assert answer.status_code == 200
    assert (info["source_lead_id"], info["target_lead_id"], info["merged_by"]) == (source.pk, target.pk, alice.pk)
    assert info["merge_rules_applied"] == {
        "prefer_source": ["tags", "notes"],
        "combine": ["tags", "notes"],
        "max_value": ["score", "conversion_probability"],
        "prefer_target": ["created_at"],
    }
    assert info["rule_by_field"]["tags"] == "combine"
    merges = api(alice).get(f"/api/leads/merges?lead_id={target.pk}").json()["data"]
    assert [row["source_lead_id"] for row in merges] == [source.pk]
    parted = api(alice).post(f"/api/leads/merges/{merges[0]['id']}/undo")
    assert parted.json()["data"]["kept"] == []
    assert api(alice).post(f"/api/leads/merges/{merges[0]['id']}/undo").status_code == 409
    assert api(alice).get(f"/api/leads/{source.pk}").json()["data"]["id"] == source.pk


def test_the_page_shows_what_differs_and_merges_by_choice(alice, pages, pair):
    source, target = pair
    web = pages(alice)
    page = web.get(f"/duplicates/merge?lead={source.pk}&lead={target.pk}&target={target.pk}").content.decode()
    assert "Merge 2 leads into one" in page
    assert 'name="of-email"' in page
    assert 'name="of-website"' not in page
    form = {"lead": [source.pk, target.pk], "target": target.pk, "of-email": source.pk, "of-tags": "combine", "of-notes": target.pk}
    answer = web.post("/duplicates/merge", form, follow=True)
    page = answer.content.decode()
    assert "1 lead is part of John Smith now." in page
    assert "Merged from" in page
    lead = stored(target)
    assert (lead.email, lead.tags, lead.notes) == ("jon@x.example", ["A", "b", "vip"], "Called.")
    with inside(target.tenant_id):
        made = Merge.objects.get()
    assert f'action="/duplicates/merges/{made.pk}/undo"' in page
    assert "a lead of its own again" in web.post(f"/duplicates/merges/{made.pk}/undo", follow=True).content.decode()


def test_the_page_wants_two_leads(alice, pages, pair):
    answer = pages(alice).get(f"/duplicates/merge?lead={pair[0].pk}", follow=True)
    assert "Select at least two leads" in answer.content.decode()
