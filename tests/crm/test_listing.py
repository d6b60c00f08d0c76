"""Keyset paging is the slow, obvious sort, page by page, in every order, for every actor, by every path of the text search."""

import random
from datetime import timedelta
from itertools import product

import pytest
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm import listing as listings
from crm.errors import InvalidInput
from crm.listing import Listing
from crm.tenancy.scope import tenant_scope
from leads.filters import SORTS, LeadList
from leads.models import Lead, LeadShare, LeadStatus
from leads.selectors import leads_visible_to
from tests.factories import acting, make_lead, make_team

ROWS = 160
# The words of the rows: one in nearly all, one in some, one in two.
COMMON, SOME, RARE = "alpha", "beta", "gamma"


@pytest.fixture
def crowd(tenant, alice, bob):
    """Rows with few values and many ties, missing values, three owners, shares that overlap, and a bin."""
    dice = random.Random(7)
    now = timezone.now().replace(microsecond=123456)
    team = make_team(tenant, bob)
    with tenant_scope(tenant.pk):
        status = LeadStatus.objects.get(code="new")
        rows = []
        for number in range(ROWS):
            words = [word for word, share in ((COMMON, 0.9), (SOME, 0.2)) if dice.random() < share] + [RARE] * (number in (3, 140))
            rows.append(
                Lead(
                    status=status,
                    status_changed_at=now,
                    created_at=now - timedelta(days=dice.randint(0, 4)),
                    first_name=dice.choice(["", "Ann", "ann", "Émile", "Zoë", "O'Neil", "a b"]),
                    company=dice.choice(["", "Acme", "acme", "Ölwerk", "_x", "99"]),
                    score=dice.randint(0, 3),
                    priority=dice.randint(1, 4),
                    conversion_probability=dice.choice([None, None, 0.1, 0.30000000000000004, 1.0]),
                    next_follow_up_at=dice.choice([None, now, now + timedelta(microseconds=1), now - timedelta(days=1)]),
                    last_contact_at=dice.choice([None, now, now - timedelta(days=2)]),
                    owner=dice.choice([None, alice, bob]),
                    tags=dice.sample(["hot", "cold", "vip"], dice.randint(0, 2)),
                    notes=" ".join(words),
                    deleted_at=now if dice.random() < 0.1 else None,
                )
            )
        Lead.objects.bulk_create(rows)
        shares = [LeadShare(lead=lead, user=bob) for lead in rows[::5]] + [LeadShare(lead=lead, team=team) for lead in rows[::7]]
        LeadShare.objects.bulk_create(shares)
    return rows


def slowly(by, *, sort: str, descending: bool, with_deleted: bool = False, word: str = "") -> list[int]:
    """All visible rows, sorted by the database in one go, narrowed by hand."""
    column = F(SORTS[sort].column)
    order = column.desc(nulls_last=True) if descending else column.asc(nulls_last=True)
    rows = leads_visible_to(by, with_deleted=with_deleted).order_by(order, "-pk" if descending else "pk")
    return [lead.pk for lead in rows if word in lead.notes.split() or not word]


def paged(listing: Listing, *, limit: int) -> list[int]:
    seen: list[int] = []
    cursor = None
    while True:
        page = listing.page(limit=limit, cursor=cursor)
        seen += page.ids
        cursor = page.next_cursor
        if cursor is None:
            return seen
        assert len(page.ids) == limit
        assert len(seen) <= ROWS


def of(by, *, sort: str = "created_at", descending: bool = True, with_deleted: bool = False, **params: str) -> Listing:
    return LeadList(params=params, actor=by, sort=sort, descending=descending, with_deleted=with_deleted).listing


@pytest.mark.slow
def test_every_sort_pages_like_the_slow_one(crowd, alice, bob):
    for user, sort, descending in product((alice, bob), SORTS, (True, False)):
        with acting(user) as by:
            expected = slowly(by, sort=sort, descending=descending)
            listing = of(by, sort=sort, descending=descending)
            assert paged(listing, limit=37) == expected, (user, sort, descending)
            assert listing.count() == len(expected)
            assert listing.page(limit=20, offset=50).ids == expected[50:70], (user, sort, descending)


@pytest.mark.slow
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(
    sort=st.sampled_from(sorted(SORTS)),
    descending=st.booleans(),
    limit=st.integers(9, 200),
    manager=st.booleans(),
    with_deleted=st.booleans(),
    word=st.sampled_from(["", COMMON, SOME, RARE, "nowhere"]),
    most=st.sampled_from([0, 3, 20_000]),
)
def test_paging_by_any_path_is_the_slow_sort(crowd, alice, bob, sort, descending, limit, manager, with_deleted, word, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "MOST_CANDIDATES", most)
        with acting(alice if manager else bob) as by:
            expected = slowly(by, sort=sort, descending=descending, with_deleted=with_deleted, word=word)
            listing = of(by, sort=sort, descending=descending, with_deleted=with_deleted, search=word)
            assert paged(listing, limit=limit) == expected
            assert listing.count() == len(expected)


@pytest.mark.parametrize("most", [20_000, 0], ids=["candidates", "walk"])
def test_text_and_tags_answer_the_same_by_every_path(crowd, alice, monkeypatch, most):
    monkeypatch.setattr(listings, "MOST_CANDIDATES", most)
    with acting(alice) as by:
        expected = [pk for pk in slowly(by, sort="score", descending=True, word=SOME) if "hot" in Lead.objects.get(pk=pk).tags]
        assert expected
        listing = of(by, sort="score", search=SOME, tags="hot")
        assert paged(listing, limit=5) == expected
        assert listing.count() == len(expected)


@pytest.mark.slow
def test_neighbours_follow_one_another_through_the_list(crowd, alice):
    with acting(alice) as by:
        for sort in ("score", "conversion_probability", "name"):
            listing = of(by, sort=sort)
            ids = paged(listing, limit=100)
            rows = Lead.objects.in_bulk(ids)
            following = [listing.beside(rows[pk]) for pk in ids[::11]]
            assert following == [[*ids, None][position + 1] for position in range(0, len(ids), 11)], sort


def test_rows_that_come_and_go_between_pages_neither_repeat_nor_hide_others(crowd, alice, tenant):
    with acting(alice) as by:
        expected = slowly(by, sort="created_at", descending=True)
        listing = of(by)
        first = listing.page(limit=50)
        Lead.objects.filter(pk__in=[first.ids[-1], expected[60]]).delete()
        new = make_lead(tenant)
        rest = listing.page(limit=200, cursor=first.next_cursor).ids
    assert new.pk not in rest
    assert first.ids + rest == [pk for pk in expected if pk != expected[60]]


def test_empty_list_is_one_empty_page(alice):
    with acting(alice) as by:
        for listing in (of(by), of(by, search="x"), of(by, sort="last_contact")):
            page = listing.page(limit=5)
            assert (page.ids, page.next_cursor, listing.count()) == ([], None, 0)


def test_cursor_of_another_order_or_none_is_refused(crowd, alice):
    with acting(alice) as by:
        cursor = of(by, sort="score").page(limit=2).next_cursor
        assert of(by, sort="score").page(limit=2, cursor=cursor).ids
        for other in (of(by, sort="priority"), of(by, sort="score", descending=False), of(by, sort="name"), of(by, sort="created_at")):
            with pytest.raises(InvalidInput) as refusal:
                other.page(limit=2, cursor=cursor)
            assert set(refusal.value.problems) == {"cursor"}


FORGED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=6,
)


@pytest.mark.slow
@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(sort=st.sampled_from(sorted(SORTS)), value=FORGED, pk=FORGED, raw=st.none() | st.text(max_size=30))
def test_forged_cursors_are_read_or_refused_and_never_break(alice, sort, value, pk, raw):
    import base64

    import orjson

    cursor = raw if raw is not None else base64.urlsafe_b64encode(orjson.dumps([sort, True, value, pk])).decode().rstrip("=")
    with acting(alice) as by:
        try:
            page = of(by, sort=sort).page(limit=2, cursor=cursor)
        except InvalidInput as refusal:
            assert set(refusal.problems) == {"cursor"}  # noqa: PT017
        else:
            assert page.ids == []
