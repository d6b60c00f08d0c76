"""The pipeline: columns of cards with exact numbers, and moving a card."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Lead, LeadStatus, LeadTransition
from leads.pages.board import BESIDE_OWNERS, Board
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead, make_user

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


def text_of(response) -> str:
    return response.content.decode()


def column(html: str, code: str) -> str:
    """The part of the page that is one column."""
    start = html.index(f'data-column="{code}"')
    return html[start : html.index("</section>", start)]


def current(lead: Lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.select_related("status").get(pk=lead.pk)


def ask_of_move(tenant, source: str, target: str, **values) -> None:
    with inside(tenant.pk):
        LeadTransition.objects.filter(source__code=source, target__code=target).update(**values)


def test_leads_stand_in_their_columns_with_the_exact_number(pages, tenant, alice):
    make_lead(tenant, first_name="Ann", company="Acme", status="new")
    make_lead(tenant, first_name="Ben", status="qualified")
    make_lead(tenant, first_name="Cid", status="qualified")
    html = text_of(pages(alice).get("/pipeline"))
    assert "Ann" in column(html, "new")
    assert "Ben" in column(html, "qualified")
    assert "Cid" in column(html, "qualified")
    assert '<span class="n" data-column-count>2</span>' in column(html, "qualified")
    assert '<span class="n" data-column-count>0</span>' in column(html, "won")
    assert html.index('data-column="new"') < html.index('data-column="qualified"') < html.index('data-column="lost"')


def test_a_column_goes_on_where_its_cards_ended(pages, tenant, alice):
    for number in range(45):
        make_lead(tenant, first_name=f"Lead{number:03}")
    browser = pages(alice)
    html, seen = text_of(browser.get("/pipeline")), []
    while True:
        seen += [f"Lead{number:03}" for number in range(45) if f"Lead{number:03}<" in html]
        more = html.find("kanban-more")
        if more < 0:
            break
        start = html.index('hx-get="?', more)
        url = html[start + 8 : html.index('"', start + 8)].replace("&amp;", "&")
        html = text_of(browser.get(f"/pipeline{url}", **HTMX))
        assert "<html" not in html
    assert sorted(seen) == [f"Lead{number:03}" for number in range(45)]


def test_filters_and_search_hold_for_all_columns_and_their_numbers(pages, tenant, alice, bob):
    make_lead(tenant, first_name="Ann", owner=bob, industry="Energy")
    make_lead(tenant, first_name="Ben", owner=alice, industry="Energy", status="won")
    make_lead(tenant, first_name="Cid", owner=bob, status="won")
    browser = pages(alice)
    html = text_of(browser.get(f"/pipeline?assigned_to={bob.pk}"))
    assert ("Ann" in html, "Ben" in html, "Cid" in html) == (True, False, True)
    assert '<span class="n" data-column-count>1</span>' in column(html, "won")
    html = text_of(browser.get("/pipeline?industry=Energy"))
    assert ("Ann" in html, "Ben" in html, "Cid" in html) == (True, True, False)
    counts = text_of(browser.get("/pipeline/counts?industry=Energy", **HTMX))
    assert 'id="count-won" hx-swap-oob="true"><span class="n" data-column-count>1</span>' in counts
    only = text_of(browser.get("/pipeline?status=won,lost"))
    assert 'data-column="won"' in only
    assert 'data-column="new"' not in only


def test_a_rep_sees_their_own_and_nobodys_but_not_a_colleagues(pages, tenant, alice, bob):
    make_lead(tenant, first_name="Ann", owner=alice)
    make_lead(tenant, first_name="Ben", owner=bob)
    make_lead(tenant, first_name="Cid")
    html = text_of(pages(bob).get("/pipeline"))
    assert ("Ann" in html, "Ben" in html, "Cid" in html) == (False, True, True)
    assert '<span class="n" data-column-count>2</span>' in column(html, "new")


@pytest.mark.parametrize("sort", ["created_at", "-score", "next_follow_up", "-next_follow_up", "-last_contact"])
def test_one_owners_columns_are_read_at_once_and_are_those_that_each_would_be(tenant, alice, bob, sort, django_assert_num_queries):
    now = timezone.now()
    for number in range(18):
        due = now + timedelta(days=number % 5) if number % 3 else None
        make_lead(tenant, owner=bob, status=("new", "won")[number % 2], score=number % 4, next_follow_up_at=due, last_contact_at=due)
    make_lead(tenant, owner=alice)
    make_lead(tenant)
    for actor in (bob, alice):
        with acting(actor) as by:
            board = Board({"assigned_to": str(bob.pk), "sort": sort}, by)
            statuses = board.statuses()
            pages = board.first_pages(statuses, limit=4)
            assert pages == [(status, board.column(status).page(limit=4)) for status in statuses]
            if actor == bob:
                assert {status.code: len(page.ids) for status, page in pages if page.ids} == {"new": 4, "won": 4}
                following = board.column(pages[0][0]).page(limit=4, cursor=pages[0][1].next_cursor)
                assert not set(following.ids) & set(pages[0][1].ids)
            if board.whole.listing.sort.column in BESIDE_OWNERS:
                with django_assert_num_queries(1):
                    board.first_pages(statuses, limit=4)


def test_standing_cards_are_marked_and_closed_ones_are_not(pages, tenant, alice):
    now = timezone.now()
    make_lead(tenant, first_name="Ann", status_changed_at=now - timedelta(days=8))
    make_lead(tenant, first_name="Ben", status_changed_at=now - timedelta(days=20))
    make_lead(tenant, first_name="Cid", status="won", status_changed_at=now - timedelta(days=20))
    html = text_of(pages(alice).get("/pipeline"))
    assert html.count("is-stale") == html.count("is-rotten") == 1
    assert "is-rotten" not in column(html, "won")


def test_amounts_are_summed_by_currency_and_hidden_from_whom_the_field_is(pages, tenant, alice, bob):
    make_field(tenant, key="deal_value", label="Deal value", kind="money", visible_to=["manager"])
    make_lead(tenant, custom_fields={"deal_value": {"amount": "1200.50", "currency": "USD"}})
    make_lead(tenant, custom_fields={"deal_value": {"amount": "300", "currency": "USD"}})
    make_lead(tenant, custom_fields={"deal_value": {"amount": "5", "currency": "EUR"}}, status="won")
    counts = text_of(pages(alice).get("/pipeline/counts?sum=cf_deal_value", **HTMX))
    assert 'title="Deal value">$1.5K</span>' in counts
    assert "€5" in counts
    assert "$1.5K" not in text_of(pages(bob).get("/pipeline/counts?sum=cf_deal_value", **HTMX))


def test_the_board_costs_the_same_for_any_number_of_cards(pages, tenant, alice, django_assert_max_num_queries):
    for status in ("new", "qualified", "won"):
        make_lead(tenant, status=status)
    browser = pages(alice)
    with django_assert_max_num_queries(25) as captured:
        browser.get("/pipeline")
    before = len(captured)
    for status in ("new", "qualified", "won") * 4:
        make_lead(tenant, status=status)
    with django_assert_max_num_queries(before):
        browser.get("/pipeline")


# --- moving ---


def test_a_dropped_card_moves_its_lead_and_says_so(pages, tenant, alice):
    lead = make_lead(tenant, first_name="Ann", last_name="Archer")
    answer = pages(alice).post(f"/leads/{lead.pk}/move", {"column": "qualified"}, **HTMX)
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "Ann Archer is now Qualified."
    assert current(lead).status.code == "qualified"


def test_a_move_that_the_rules_forbid_is_refused_and_named(pages, tenant, alice):
    lead = make_lead(tenant)
    answer = pages(alice).post(f"/leads/{lead.pk}/move", {"column": "won"}, **HTMX)
    assert answer.status_code == 409
    assert json.loads(answer["HX-Trigger"])["toast"]["level"] == "error"
    assert current(lead).status.code == "new"


def test_lost_asks_why_in_a_dialog_and_takes_the_answer(pages, tenant, alice):
    lead = make_lead(tenant)
    browser = pages(alice)
    asked = browser.post(f"/leads/{lead.pk}/move", {"column": "lost"}, **HTMX)
    assert asked.status_code == 422
    assert "<dialog" in text_of(asked)
    assert 'name="reason"' in text_of(asked)
    assert current(lead).status.code == "new"
    body = {"status": "lost", "asked": "reason", "reason": "no_budget", "next": "/pipeline"}
    assert browser.post(f"/leads/{lead.pk}/move", body)["Location"] == "/pipeline"
    assert (current(lead).status.code, current(lead).lost_reason) == ("lost", "no_budget")


def test_what_a_move_needs_is_asked_and_written_with_it(pages, tenant, alice):
    make_field(tenant, key="budget", label="Budget", kind="number")
    ask_of_move(tenant, "new", "qualified", required_fields=["company", "cf_budget"], needs_reason=True)
    lead = make_lead(tenant)
    browser = pages(alice)
    asked = text_of(browser.post(f"/leads/{lead.pk}/move", {"column": "qualified"}, **HTMX))
    assert all(f'name="{name}"' in asked for name in ("company", "cf_budget", "reason"))
    body = {"status": "qualified", "asked": "company,cf_budget,reason", "company": "Acme", "cf_budget": "", "reason": "A good talk"}
    again = browser.post(f"/leads/{lead.pk}/move", body)
    assert again.status_code == 422
    assert current(lead).company == ""
    assert browser.post(f"/leads/{lead.pk}/move", {**body, "cf_budget": "5000"}).status_code == 302
    moved = current(lead)
    assert (moved.status.code, moved.company, moved.custom_fields["budget"]) == ("qualified", "Acme", 5000)


def test_a_colleagues_lead_is_unknown_and_support_may_not_move(pages, tenant, alice, bob):
    lead = make_lead(tenant, owner=alice)
    assert pages(bob).post(f"/leads/{lead.pk}/move", {"column": "qualified"}, **HTMX).status_code == 404
    assert pages(make_user(tenant, role="support")).post(f"/leads/{lead.pk}/move", {"column": "qualified"}).status_code == 403


def test_a_status_of_ones_own_is_a_column_and_one_switched_off_is_none(pages, tenant, alice):
    with inside(tenant.pk):
        LeadStatus.objects.create(number=101, code="on_hold", label="On hold", position=50)
        LeadStatus.objects.filter(code="negotiation").update(is_active=False)
    html = text_of(pages(alice).get("/pipeline"))
    assert 'data-column="on_hold"' in html
    assert 'data-column="negotiation"' not in html
