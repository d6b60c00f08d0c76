"""Columns of the lead list: custom fields, order, widths; and where a lead's page leads on to."""

import json
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.db import connection

from leads.models import Lead
from tests.customobjects.parts import make_field
from tests.factories import inside, make_lead

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def web(alice, pages):
    return pages(alice)


def text(answer) -> str:
    return answer.content.decode()


def headings(page: str) -> list[str]:
    return re.findall(r'<th[^>]* data-col="(\w+)"', page)


# --- custom fields ---


def test_custom_fields_are_columns_in_the_order_asked_for(web, tenant):
    make_field(tenant, "choice", label="Heat", key="heat")
    make_field(tenant, "money", label="Budget", key="budget", currency="USD")
    make_field(tenant, "text", label="Secret", key="secret", in_list=False)
    make_lead(tenant, custom_fields={"heat": "hot", "budget": {"amount": "1250.00", "currency": "USD"}, "secret": "x"})
    page = text(web.get("/leads?col=cf_budget&col=status&col=cf_heat&col=cf_secret&col=cf_none"))
    assert headings(page) == ["name", "cf_budget", "status", "cf_heat"]
    assert "1,250.00 USD" in page
    assert "Hot</span>" in page
    assert 'value="cf_secret"' not in page
    plain = text(web.get("/leads"))
    assert 'value="cf_budget"' in plain
    assert "1,250.00 USD" not in plain


def test_custom_columns_are_edited_in_place_by_who_may(web, bob, pages, tenant):
    make_field(tenant, "text", label="Plan", key="plan")
    make_field(tenant, "text", label="Terms", key="terms", editable_by=["manager"])
    make_field(tenant, "url", label="Deck", key="deck")
    make_field(tenant, "number", label="Margin", key="margin", visible_to=["manager"])
    lead = make_lead(tenant, owner=bob, custom_fields={"plan": "Gold", "terms": "30 days", "deck": "https://deck.example/a", "margin": 5})
    address = "/leads?col=cf_plan&col=cf_terms&col=cf_deck&col=cf_margin"
    mine, theirs = text(web.get(address)), text(pages(bob).get(address))
    for name in ("cf_plan", "cf_terms", "cf_deck", "cf_margin"):
        assert f'hx-get="/leads/{lead.pk}/fields/{name}"' in mine
    assert "fields/cf_plan" in theirs
    assert "fields/cf_terms" not in theirs
    assert "30 days" in theirs
    assert "fields/cf_margin" not in theirs
    assert headings(theirs) == ["name", "cf_plan", "cf_terms", "cf_deck"]
    # The link of a web address stands beside the one that edits it, not inside.
    assert re.search(r'fields/cf_deck"[^>]*>https://deck\.example/a</a><a [^>]*href="https://deck\.example/a"', mine)
    saved = web.post(f"/leads/{lead.pk}/fields/cf_plan", {"cf_plan": "Silver"}, **HTMX)
    assert "Silver" in text(saved)
    with inside(tenant.pk):
        assert Lead.objects.get().custom_fields["plan"] == "Silver"


def test_a_plain_list_reads_no_custom_fields(web, tenant):
    make_field(tenant, "text", label="Plan", key="plan")
    for number in range(60):
        make_lead(tenant, first_name=f"Row{number:03}", custom_fields={"plan": f"Gold{number:03}"})
    asked: list[str] = []

    def note(execute, sql, values, many, context):
        asked.append(str(sql))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(note):
        web.get("/leads")
    assert not [sql for sql in asked if "lead.custom_fields" in sql]
    first = web.get("/leads?col=cf_plan")
    asked.clear()
    with connection.execute_wrapper(note):
        more = text(web.get("/leads" + first.context["more_url"], **HTMX))
    assert "Gold000" in more
    assert len([sql for sql in asked if "lead.custom_fields" in sql]) == 1


# --- the filter menu ---


def test_the_filter_menu_and_chips_know_custom_fields(web, bob, pages, tenant):
    make_field(tenant, "choice", label="Heat", key="heat")
    make_field(tenant, "number", label="Seats", key="seats")
    make_field(tenant, "checkbox", label="Signed", key="signed", visible_to=["manager"])
    make_lead(tenant, first_name="Hanna", custom_fields={"heat": "hot", "seats": 5, "signed": True})
    make_lead(tenant, first_name="Lothar", custom_fields={"heat": "c0", "seats": 50})
    page = text(web.get("/leads?cf_heat=hot&cf_seats_max=10&cf_signed=1&cf_seats_empty=no"))
    assert "Custom fields</legend>" in page
    assert ("Hanna" in page, "Lothar" in page) == (True, False)
    chips = re.findall(
        r'<span class="filter"><span>([^<]*)</span>(?:<span class="op">([^<]*)</span>)?<span class="strong">([^<]*)</span>', page
    )
    assert chips == [("Heat", "is", "Hot"), ("Seats to", "", "10"), ("Signed", "is", "Yes"), ("Seats is empty", "", "No")]
    # What has no input of its own is passed on by the search.
    assert '<input type="hidden" name="cf_seats_empty" value="no">' in page
    assert '<input type="hidden" name="cf_heat"' not in page.split('id="columns-menu"')[0]
    assert "cf_signed" not in text(pages(bob).get("/leads"))


def test_conditions_of_custom_fields_are_put_together(web, tenant):
    make_field(tenant, "multi_choice", label="Interest", key="interest")
    make_lead(tenant, first_name="Hanna", custom_fields={"interest": ["hot"]})
    make_lead(tenant, first_name="Lothar", custom_fields={"interest": ["c0"]})
    form = {
        "query": "",
        "match": "all",
        "g0-match": "all",
        "g0-0-field": "cf_interest",
        "g0-0-op": "has_any",
        "g0-0-chosen": ["hot", "luke_warm"],
    }
    drawn = text(web.post("/leads/filter", {**form, "do": ""}, **HTMX))
    assert re.search(r'name="g0-0-chosen" value="hot" checked', drawn)
    answer = web.post("/leads/filter", {**form, "do": "apply"}, follow=True)
    page = text(answer)
    assert ("Hanna" in page, "Lothar" in page) == (True, False)
    assert "Interest has any of Hot, Luke warm" in page
    tree = json.dumps({"field": "cf_interest", "op": "has_any", "value": ["tepid"]})
    assert "Unknown choice: tepid." in text(web.get("/leads", {"filter": tree}))
    assert "could not be read" in text(web.get("/leads/filter", {"filter": tree}))


# --- order and widths ---


def test_columns_are_moved_without_scripts(web, tenant):
    make_lead(tenant)
    answer = web.get("/leads?col=company&col=status&col=score&status=new&w=score:90&up=score")
    assert dict(parse_qsl(urlsplit(answer.url).query)) == {"status": "new", "col": "status", "w": "score:90"}
    assert parse_qsl(urlsplit(answer.url).query)[1:4] == [("col", "company"), ("col", "score"), ("col", "status")]
    down = web.get("/leads?col=company&col=status&down=company&down=company")
    assert headings(text(web.get(down.url))) == ["name", "status", "company"]
    assert headings(text(web.get(web.get("/leads?col=company&col=status&up=nonsense").url))) == ["name", "company", "status"]


def test_widths_are_in_the_address_and_carried_on(web, tenant):
    for number in range(51):
        make_lead(tenant, first_name=f"Row{number:03}")
    answer = web.get("/leads?w=company:220&w=name:300&w=score:9&w=none:100&w=status:x&w=phone:900")
    page = text(answer)
    assert answer.context["list_query"] == urlencode({"w": ["company:220", "name:300"]}, doseq=True)
    assert re.findall(r'<col width="(\d+)">', page) == ["300", "220"]
    assert page.count('<td class="cell-trunc" data-cell="meta" data-sized>') == 50
    assert page.count('<td class="cell-name" data-cell="lead" data-sized>') == 50
    assert "style=" not in page
    more = text(web.get("/leads" + answer.context["more_url"], **HTMX))
    assert more.count("data-sized") == 2


def test_a_saved_view_keeps_order_and_widths(web, tenant):
    make_lead(tenant)
    state = urlencode({"col": ["status", "company"], "w": ["company:220"]}, doseq=True)
    web.post("/views/leads/new", {"name": "Wide", "state": state, "audience": "private"})
    page = text(web.get("/leads"))
    address = re.search(r'href="(/leads\?[^"]*view=\d+)"', page)[1].replace("&amp;", "&")
    kept = text(web.get(address))
    assert headings(kept) == ["name", "status", "company"]
    assert '<col width="220">' in kept


# --- previous and next ---


def beside(answer, name: str) -> int | None:
    url = answer.context[name]
    return int(urlsplit(url).path.split("/")[-1]) if url else None


def walk(web, lead, query: dict[str, str], *, way: str = "next_url") -> list[int]:
    """The leads one comes by, from one on."""
    found, at = [], lead.pk
    while at and len(found) < 20:
        found.append(at)
        at = beside(web.get(f"/leads/{at}", {"from": urlencode(query, doseq=True)}), way)
    return found


def test_next_follows_the_groups_of_the_list(web, tenant):
    won = [make_lead(tenant, first_name=name, status="won") for name in ("Ada", "Cyd")]
    new = [make_lead(tenant, first_name=name, status="new") for name in ("Bea", "Dot")]
    query = {"group": "status", "sort": "name"}
    order = [new[0].pk, new[1].pk, won[0].pk, won[1].pk]
    assert walk(web, new[0], query) == order
    assert walk(web, won[1], query, way="previous_url") == order[::-1]
    shown = re.findall(r'id="lead-(\d+)"', text(web.get("/leads", query)))
    assert [int(pk) for pk in shown] == order


def test_next_follows_conditions_and_views(web, tenant):
    make_field(tenant, "number", label="Seats", key="seats")
    leads = [make_lead(tenant, first_name=f"N{seats}", custom_fields={"seats": seats}) for seats in (5, 1, 7, 9)]
    query = {"filter": json.dumps({"field": "cf_seats", "op": "at_least", "value": 5}), "sort": "name", "view": "3", "w": "company:90"}
    order = [leads[0].pk, leads[2].pk, leads[3].pk]
    assert walk(web, leads[0], query) == order
    answer = web.get(f"/leads/{order[0]}", {"from": urlencode(query)})
    assert dict(parse_qsl(urlsplit(answer.context["back_url"]).query)) == query
    assert walk(web, leads[0], {"cf_seats_min": "6", "sort": "name"}) == [leads[0].pk, leads[2].pk, leads[3].pk]


# --- groups ---


def test_groups_count_what_they_show_and_keep_the_columns(web, tenant):
    for number in range(12):
        make_lead(tenant, first_name=f"N{number}", custom_fields={"plan": "Gold"})
    make_field(tenant, "text", label="Plan", key="plan")
    answer = web.get("/leads?group=status&col=cf_plan&w=cf_plan:90&owner=none")
    page = text(answer)
    assert (answer.context["shown"], answer.context["total"]) == (10, 12)
    assert page.count("Gold") == 10
    assert 'href="?owner=none&amp;col=cf_plan&amp;w=cf_plan%3A90&amp;status=new"' in page
    assert 'colspan="3"' in page
