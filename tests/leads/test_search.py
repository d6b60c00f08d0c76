"""Search as typed: names, companies, addresses, phones in any notation, tags, notes."""

import pytest
from django.db import connection

from crm.tenancy.models import Tenant
from leads.filters import LeadList, search_query
from leads.services.counts import flush_search
from tests.factories import acting, inside, make_lead


@pytest.fixture
def people(tenant):
    return {
        "jose": make_lead(
            tenant,
            first_name="José",
            last_name="Núñez-O'Brien",
            company="Müller & Söhne",
            email="jose.n@acme.example",
            phone="(415) 555-0134",
        ),
        "ann": make_lead(
            tenant, first_name="Ann", company="Northwind", title="VP of Sales", tags=["decision-maker"], notes="Likes tea. Budget 50k!"
        ),
        "gone": make_lead(tenant, first_name="José", deleted_at=tenant.created_at),
    }


def found(by, text: str) -> list[int]:
    return LeadList(params={"search": text}, actor=by).listing.page(limit=50).ids


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("josé", "jose"), ("jose", "jose"), ("JOS", "jose"), ("nunez", "jose"), ("o'brien", "jose"), ("OBrien", None), ("brien jose", "jose"),
        ("muller", "jose"), ("sohne", "jose"), ("jose ann", None), ("jose.n@acme.example", "jose"), ("JOSE.N@acme", "jose"), ("acme", "jose"),
        ("+14155550134", "jose"), ("415-555-0134", "jose"), ("(415) 555 0134", "jose"), ("4155550134", "jose"), ("1 415 555 0134", "jose"),
        ("001 415 555-0134", "jose"), ("5550134", "jose"), ("0134", "jose"), ("415", "jose"),
        ("ann northw", "ann"), ("vp sales", "ann"), ("decision-maker", "ann"), ("decision maker", "ann"), ("tea", "ann"), ("50k", "ann"), ("zzz", None),
        ("a", "ann"),
    ],
)  # fmt: skip
def test_search_finds_by(alice, people, text, who):
    with acting(alice) as by:
        ids = found(by, text)
    assert (people[who].pk in ids) if who else ids == [], ids
    assert people["gone"].pk not in ids
    if who and text not in ("a",):
        assert ids == [people[who].pk]


@pytest.mark.parametrize(
    "text", ["'", "\\", ":*", "&|!()<->", "%_%", '"', "a' | 'b", "@", "@@@", "☃", "\x01", "a" * 5000, "(((", "--", "' OR 1=1"]
)
def test_search_takes_anything_that_can_be_typed(alice, people, text):
    with acting(alice) as by:
        assert len(found(by, text)) <= 2


def test_search_without_words_is_no_condition(alice, people):
    with acting(alice) as by:
        assert set(found(by, " ,.; ")) == {people["jose"].pk, people["ann"].pk}


def test_search_query_of_a_phone_is_its_digits(db):
    assert search_query("+1 (415) 555-0134") == "14155550134:*"
    assert search_query("0134") == "134:* | 0134:*"
    assert search_query("0000") == "0000:*"
    assert search_query("...") is None


def test_search_stays_in_sight(alice, bob, mallory, people, tenant):
    hidden = make_lead(tenant, first_name="Josefine", owner=alice)
    with acting(bob) as by:
        assert found(by, "jose") == [people["jose"].pk]
    with acting(alice) as by:
        assert set(found(by, "jose")) == {people["jose"].pk, hidden.pk}
    with acting(mallory) as by:
        assert found(by, "jose") == []


def test_new_words_are_found_before_and_after_they_are_sorted_in(tenant, alice, api):
    lead = make_lead(tenant, first_name="Quetzalcoatl")
    for _ in range(2):
        assert [row["id"] for row in api(alice).get("/api/leads?search=quetzal").json()["data"]["leads"]] == [lead.pk]
        flush_search()


# --- what is collected, and what is met on the walk ---


def collected(tenant: Tenant, query: str, most: int) -> list[int] | None:
    with inside(tenant.pk), connection.cursor() as cursor:
        cursor.execute("SELECT leads_search_ids(%s::tsquery, %s)", [query, most])
        found: list[int] | None = cursor.fetchone()[0]
        return found


def test_few_leads_are_collected_and_more_than_asked_for_are_not(tenant):
    ids = {make_lead(tenant, first_name="Olga").pk for _ in range(4)}
    for _ in range(4):
        make_lead(tenant)
    assert set(collected(tenant, "'olga':*", 4) or ()) == ids
    assert collected(tenant, "'olga':*", 3) is None
    assert collected(tenant, "'nobody':*", 3) == []


def test_what_many_of_a_tenants_own_leads_hold_is_left_to_the_walk_whatever_others_have(tenant, next_door):
    for number in range(60):
        make_lead(tenant, first_name="Olga", last_name="Brandt" if number == 7 else "Adams")
        make_lead(next_door)
    assert collected(tenant, "'olga':* & 'adams':*", 20) is None
    assert len(collected(tenant, "'olga':* & 'brandt':*", 20) or ()) == 1
    assert collected(next_door, "'olga':*", 20) == []
