"""Many drafts at once: created, updated, passed over, refused; each exactly once, set-wise."""

import pytest
from django.utils import timezone

from crm.errors import Forbidden
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from leads.services.drafts import LeadDraft, normalise
from leads.services.upsert import Entry, MatchBy, OnDuplicate, Plan, upsert_leads
from tests.factories import acting, actor, inside, make_lead, make_tenant, make_user
from tests.leads.services.test_intake import in_threads


def entry(*given: str, lead_id: int | None = None, **values) -> Entry:
    draft = LeadDraft(**values)
    normalise(draft, region="US", strict=False)
    return Entry(draft=draft, given=frozenset(given or values), lead_id=lead_id)


def bring(user, entries, how=OnDuplicate.SKIP, **plan):
    with acting(user) as by:
        return upsert_leads(entries=entries, plan=Plan(on_duplicate=how, **plan), by=by)


def results(outcomes) -> list[str]:
    return [str(outcome.result) for outcome in outcomes]


def stored(lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.select_related("status").get(pk=lead.pk)


def test_duplicates_are_found_within_the_batch_and_before_it(alice, tenant):
    known = make_lead(tenant, email="known@acme.example", phone="+12125550101")
    outcomes = bring(
        alice,
        [
            entry(first_name="A", email="a@acme.example"),
            entry(first_name="B", email="A+x@Acme.example"),
            entry(first_name="C", phone="212 555 0101"),
            entry(first_name="E", phone="2125550102"),
            entry(first_name="F", email="f@acme.example", phone="(212) 555-0102"),
            entry(first_name="G", status="dreaming"),
            entry(first_name="H"),
        ],
    )
    assert results(outcomes) == ["created", "skipped", "skipped", "created", "skipped", "failed", "created"]
    assert outcomes[2].lead_id == known.pk
    assert set(outcomes[5].problems) == {"status"}
    with inside(tenant.pk):
        assert set(Lead.objects.exclude(pk=known.pk).values_list("first_name", flat=True)) == {"A", "E", "H"}


def test_duplicates_may_be_created_or_refused(alice):
    same = [entry(first_name=name, email="same@acme.example") for name in "ABC"]
    assert results(bring(alice, same[:1], OnDuplicate.CREATE)) == ["created"]
    assert results(bring(alice, same, OnDuplicate.REFUSE)) == ["failed"] * 3
    assert results(bring(alice, same, OnDuplicate.CREATE)) == ["created"] * 3


def test_update_writes_what_was_given_and_nothing_else(alice, bob, tenant):
    lead = make_lead(
        tenant, first_name="Jane", email="jane@acme.example", company="Acme", title="CEO", tags=["a"], custom_fields={"x": "1"}, owner=bob
    )
    (outcome,) = bring(
        alice,
        [entry("email", "company", "title", email="JANE@acme.example", company="New Acme", tags=["b", "A"], custom_fields={"y": "2"})],
        OnDuplicate.UPDATE,
    )
    after = stored(lead)
    assert (str(outcome.result), outcome.lead_id) == ("updated", lead.pk)
    assert (after.first_name, after.company, after.title, after.owner_id) == ("Jane", "New Acme", "CEO", bob.pk)
    assert (after.tags, after.custom_fields) == (["a", "b"], {"x": "1", "y": "2"})
    assert after.company_key == "new acme"
    with inside(tenant.pk):
        (history,) = lead.history.all()
    assert (history.company, history.tags) == ("Acme", ["a"])


def test_an_update_that_changes_nothing_is_skipped_and_leaves_no_history(alice, tenant):
    lead = make_lead(tenant, first_name="Jane", email="jane@acme.example")
    assert results(bring(alice, [entry(first_name="Jane", email="jane@acme.example")], OnDuplicate.UPDATE)) == ["skipped"]
    with inside(tenant.pk):
        assert not lead.history.exists()


def test_keeping_what_is_there_fills_the_gaps(alice, tenant):
    lead = make_lead(tenant, first_name="Jane", email="jane@acme.example", company="Acme")
    bring(
        alice, [entry(first_name="Janet", email="jane@acme.example", company="Other", title="CTO")], OnDuplicate.UPDATE, keep_existing=True
    )
    after = stored(lead)
    assert (after.first_name, after.company, after.title) == ("Jane", "Acme", "CTO")


def test_a_later_row_updates_what_an_earlier_one_made(alice):
    outcomes = bring(
        alice,
        [entry(first_name="A", email="a@x.example"), entry(first_name="B", email="a@x.example", company="Acme")],
        OnDuplicate.UPDATE,
    )
    assert results(outcomes) == ["created", "updated"]
    assert outcomes[0].lead_id == outcomes[1].lead_id
    assert (stored(outcomes[0].lead).first_name, stored(outcomes[0].lead).company) == ("B", "Acme")


def test_only_update_makes_nothing_new(alice, tenant):
    lead = make_lead(tenant, email="a@x.example")
    outcomes = bring(alice, [entry(email="a@x.example", company="Acme"), entry(email="new@x.example")], OnDuplicate.ONLY_UPDATE)
    assert results(outcomes) == ["updated", "skipped"]
    assert stored(lead).company == "Acme"


@pytest.mark.parametrize(("by", "expected"), [(MatchBy.EMAIL, "created"), (MatchBy.PHONE, "updated"), (MatchBy.ANY, "updated")])
def test_the_chosen_key_decides_what_is_the_same(alice, tenant, by, expected):
    make_lead(tenant, email="other@x.example", phone="2125550101")
    assert results(bring(alice, [entry(email="a@x.example", phone="2125550101")], OnDuplicate.UPDATE, match_by=by)) == [expected]


def test_leads_are_matched_by_their_id(alice, tenant):
    lead = make_lead(tenant, first_name="Jane")
    outcomes = bring(
        alice,
        [entry("company", company="Acme", lead_id=lead.pk), entry("company", company="None", lead_id=10**12)],
        OnDuplicate.ONLY_UPDATE,
        match_by=MatchBy.ID,
    )
    assert results(outcomes) == ["updated", "skipped"]
    assert stored(lead).company == "Acme"


def test_a_status_moves_by_the_rules_unless_one_may_skip_them(alice, bob, tenant):
    lead = make_lead(tenant, email="a@x.example", owner=bob)
    given = [entry("email", "status", email="a@x.example", status="won")]
    (refused,) = bring(bob, given, OnDuplicate.UPDATE)
    assert set(refused.problems) == {"status"}
    assert results(bring(alice, given, OnDuplicate.UPDATE)) == ["updated"]
    assert stored(lead).status.code == "won"


def test_a_lead_out_of_sight_is_never_changed(alice, bob, tenant):
    lead = make_lead(tenant, email="a@x.example", company="Acme", owner=alice)
    (outcome,) = bring(bob, [entry(email="a@x.example", company="Mine")], OnDuplicate.UPDATE)
    assert str(outcome.result) == "failed"
    assert "somebody else" in outcome.problems["email"][0]
    assert stored(lead).company == "Acme"


def test_updates_need_the_permission(tenant):
    support = make_user(tenant, role="support")
    with pytest.raises(Forbidden):
        bring(support, [entry(email="a@x.example")], OnDuplicate.UPDATE)


def test_a_dry_run_answers_the_same_and_writes_nothing(alice, tenant):
    lead = make_lead(tenant, email="a@x.example")
    rows = [
        entry(email="a@x.example", company="Acme"),
        entry(email="b@x.example"),
        entry(email="B@x.example", title="CTO"),
        entry(status="no", email="c@x.example"),
    ]
    dry = results(bring(alice, rows, OnDuplicate.UPDATE, dry_run=True))
    assert (stored(lead).company, dry) == ("", ["updated", "created", "updated", "failed"])
    assert results(bring(alice, rows, OnDuplicate.UPDATE)) == dry


@pytest.mark.parametrize("how", [OnDuplicate.SKIP, OnDuplicate.UPDATE])
def test_it_takes_as_many_queries_for_three_hundred_as_for_ten(alice, tenant, how, django_assert_max_num_queries):
    for number in range(100):
        make_lead(tenant, email=f"l{number}@acme.example", created_at=timezone.now())
    rows = [entry(first_name=f"L{number}", email=f"l{number}@acme.example") for number in range(300)]
    with acting(alice) as by, django_assert_max_num_queries(24):
        outcomes = upsert_leads(entries=rows, plan=Plan(on_duplicate=how), by=by)
    assert results(outcomes).count("created") == 200


@pytest.mark.slow
def test_batches_that_cross_do_not_wait_in_a_ring(committed_db):
    tenant = make_tenant()
    by = actor(make_user(tenant))
    people = [f"p{number}@acme.example" for number in range(60)]

    def capture(number):
        order = people if number % 2 else people[::-1]
        with tenant_scope(tenant.pk, by=by):
            outcomes = upsert_leads(entries=[entry(email=email) for email in order], plan=Plan(on_duplicate=OnDuplicate.SKIP), by=by)
        return results(outcomes).count("created")

    assert sum(in_threads(4, capture)) == len(people)
    with inside(tenant.pk):
        assert Lead.objects.count() == len(people)
