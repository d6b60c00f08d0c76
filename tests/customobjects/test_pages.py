"""Custom fields on the pages: settings, a lead's forms and details, the import's mapping, the admin."""

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile

from customobjects.models import FieldDefinition
from customobjects.pages.cells import cell
from leads.models import Lead
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead

BASE = "/settings/custom-fields"
ALL_KINDS = ("text", "number", "money", "date", "choice", "multi_choice", "user", "url", "checkbox")


def text_of(answer: Any) -> str:
    return answer.content.decode()


def fields(tenant) -> list[FieldDefinition]:
    with inside(tenant.pk):
        return list(FieldDefinition.objects.all())


def values_of(tenant, lead: Lead) -> dict[str, Any]:
    with inside(tenant.pk):
        return Lead.objects.get(pk=lead.pk).custom_fields


# --- settings ---


def test_first_field_is_offered_by_kind_and_reps_stay_out(alice, bob, pages):
    text = text_of(pages(alice).get(BASE))
    assert "Add the first" in text
    for kind in ALL_KINDS:
        assert f"{BASE}/new?kind={kind}" in text
    assert pages(bob).get(BASE).status_code == 403


@pytest.mark.parametrize("item_count", [1, 3])
def test_list_has_a_flat_query_count(tenant, alice, pages, item_count, django_assert_num_queries):
    for _ in range(item_count):
        make_field(tenant)
    web = pages(alice)
    web.get(BASE)
    with django_assert_num_queries(11):
        web.get(BASE)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_field_of_each_kind_is_made_and_saved_again_unchanged(tenant, alice, pages, kind):
    web = pages(alice)
    body = {
        "label": "Thing",
        "choices": "Hot | red\nCold | c0",
        "currency": "eur",
        "in_forms": "on",
        "in_list": "on",
        "visible_to": "manager",
    }
    answer = web.post(f"{BASE}/new?kind={kind}", body)
    assert (answer.status_code, answer.headers.get("Location")) == (302, BASE)
    (made,) = fields(tenant)
    assert (made.kind, made.key, made.visible_to, made.currency) == (kind, "thing", ["manager"], "EUR" if kind == "money" else "")
    if "choice" in kind:
        assert made.choices == [{"value": "hot", "label": "Hot", "color": "red"}, {"value": "c0", "label": "Cold", "color": ""}]
    shown = web.get(f"{BASE}/{made.pk}").context["form"]
    again = {name: field.value() for name, field in ((field.name, field) for field in shown) if field.value() not in (None, False)}
    assert web.post(f"{BASE}/{made.pk}", again).status_code == 302
    (after,) = fields(tenant)
    same = ("label", "key", "choices", "currency", "visible_to", "in_list", "in_forms", "default", "required", "unique")
    assert {name: getattr(after, name) for name in same} == {name: getattr(made, name) for name in same}


def test_refusal_stands_at_its_input(alice, pages):
    answer = pages(alice).post(f"{BASE}/new?kind=number", {"label": "Seats", "default": "many"})
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"default": ["Must be a number."]}


def test_field_is_moved_switched_off_and_deleted(tenant, alice, pages):
    web, one, two = pages(alice), make_field(tenant, label="One"), make_field(tenant, label="Two")
    web.post(f"{BASE}/{two.pk}/action", {"action": "up"})
    assert [item.label for item in fields(tenant)] == ["Two", "One"]
    web.post(f"{BASE}/{one.pk}/action", {"action": "off"})
    assert [item.is_active for item in fields(tenant)] == [True, False]
    web.post(f"{BASE}/{one.pk}/action", {"action": "delete"})
    assert [item.label for item in fields(tenant)] == ["Two"]


# --- leads ---


def test_new_lead_asks_for_the_fields_and_says_what_is_wrong_at_each(tenant, alice, pages):
    make_field(tenant, "number", label="Seats", required=True, help_text="Licences wanted")
    make_field(tenant, "multi_choice", label="Heat")
    make_field(tenant, "checkbox", label="Partner")
    make_field(tenant, "text", label="Quiet", in_forms=False)
    web = pages(alice)
    text = text_of(web.get("/leads/new"))
    assert ("Licences wanted" in text, "cf_quiet" in text) == (True, False)
    wrong = web.post("/leads/new", {"last_name": "Ash", "priority": "2", "cf_seats": "many"})
    assert (wrong.status_code, wrong.context["form"].errors) == (422, {"cf_seats": ["Must be a number."]})
    made = web.post("/leads/new", {"last_name": "Ash", "priority": "2", "cf_seats": "1,200", "cf_heat": ["c0", "hot"], "cf_partner": "on"})
    assert made.status_code == 302
    with inside(tenant.pk):
        assert Lead.objects.get().custom_fields == {"seats": 1200, "heat": ["hot", "c0"], "partner": True}


def test_edited_lead_keeps_what_was_not_touched(tenant, alice, pages):
    make_field(tenant, "number", label="Seats")
    make_field(tenant, "choice", label="Heat")
    make_field(tenant, "money", label="Budget")
    before = {"seats": "about ten", "heat": "tepid", "budget": {"amount": "5.00", "currency": "EUR"}, "free": 1}
    lead = make_lead(tenant, last_name="Ash", custom_fields=before)
    web = pages(alice)
    form = web.get(f"/leads/{lead.pk}/edit").context["form"]
    body = {field.name: field.value() for field in form if field.value() is not None}
    assert web.post(f"/leads/{lead.pk}/edit", {**body, "company": "Acme"}).status_code == 302
    assert values_of(tenant, lead) == before
    assert web.post(f"/leads/{lead.pk}/edit", {**body, "cf_seats": "10", "cf_heat": ""}).status_code == 302
    assert values_of(tenant, lead) == {"seats": 10, "budget": before["budget"], "free": 1}


def test_details_show_values_as_people_read_them_and_edit_them_in_place(tenant, alice, bob, pages):
    make_field(tenant, "money", label="Budget")
    make_field(tenant, "user", label="Engineer")
    make_field(tenant, "choice", label="Heat", editable_by=["admin"])
    lead = make_lead(
        tenant,
        custom_fields={"budget": {"amount": "1250.50", "currency": "USD"}, "engineer": bob.pk, "heat": "luke_warm", "My key": "free"},
    )
    web, here = pages(alice), f"/leads/{lead.pk}"
    text = text_of(web.get(here))
    for part in ("1,250.50 USD", "Bob Baker", "Luke warm", "My key", "free", f"{here}/fields/cf_budget"):
        assert part in text, part
    assert f"{here}/fields/cf_heat" not in text
    htmx = {"HTTP_HX_REQUEST": "true"}
    assert 'value="1250.50"' in text_of(web.get(f"{here}/fields/cf_budget", **htmx))
    assert "2,000.00 USD" in text_of(web.post(f"{here}/fields/cf_budget", {"cf_budget": "2 000"}, **htmx))
    wrong = web.post(f"{here}/fields/cf_budget", {"cf_budget": "lots"}, **htmx)
    assert (wrong.status_code, "Must be an amount" in text_of(wrong)) == (422, True)
    assert web.get(f"{here}/fields/cf_heat", **htmx).status_code == 403
    assert values_of(tenant, lead)["budget"] == {"amount": "2000.00", "currency": "USD"}


@pytest.mark.parametrize(
    ("kind", "typed", "stored"),
    [
        ("checkbox", "false", False),
        ("checkbox", "", None),
        ("multi_choice", ["c0", "hot"], ["hot", "c0"]),
        ("choice", "hot", "hot"),
        ("date", "2024-01-31", "2024-01-31"),
    ],
)
def test_field_in_place_of_each_kind(tenant, alice, pages, kind, typed, stored):
    item = make_field(tenant, kind, label="F", key="f")
    lead = make_lead(tenant, custom_fields={"f": True if kind == "checkbox" else "tepid"})
    web, here = pages(alice), f"/leads/{lead.pk}/fields/cf_f"
    assert web.get(here, HTTP_HX_REQUEST="true").status_code == 200
    assert web.post(here, {item.name: typed}, HTTP_HX_REQUEST="true").status_code == 200
    assert values_of(tenant, lead) == ({} if stored is None else {"f": stored})


def test_hidden_field_is_nowhere_on_a_reps_pages(tenant, alice, bob, admin, pages):
    make_field(tenant, "number", label="Margin", visible_to=["manager"])
    lead = make_lead(tenant, first_name="Ann", owner=bob, custom_fields={"margin": 4711}, raw_field_data={"margin": "4711"})
    pages(alice).post(f"/leads/{lead.pk}/fields/cf_margin", {"cf_margin": "4712"})
    paths = (f"/leads/{lead.pk}", f"/leads/{lead.pk}?show=changes", f"/leads/{lead.pk}/edit", f"/leads/{lead.pk}/peek")
    for path in paths:
        text = text_of(pages(bob).get(path))
        assert not [part for part in ("4711", "4712", "4,711", "4,712", "Margin", "cf_margin") if part in text], path
    told = text_of(pages(alice).get(f"/leads/{lead.pk}?show=changes"))
    assert ("4,711" in told, "4,712" in told, "Margin" in told) == (True, True, True)
    assert pages(bob).get(f"/leads/{lead.pk}/fields/cf_margin").status_code in (302, 400, 404)
    assert pages(bob).post(f"/leads/{lead.pk}/fields/cf_margin", {"cf_margin": "1"}).status_code == 302
    assert values_of(tenant, lead) == {"margin": 4712}


def test_admin_of_leads_hides_what_a_manager_may_not_see(tenant, alice, admin, pages):
    make_field(tenant, "number", label="Secret", visible_to=["admin"])
    lead = make_lead(tenant, first_name="Ann", custom_fields={"secret": 4711, "free": "seen"}, raw_field_data={"Secret": "4711"})
    pages(admin).post(f"/leads/{lead.pk}/fields/cf_secret", {"cf_secret": "4712"})
    for path in ("change", "history"):
        mine, theirs = (text_of(pages(user).get(f"/admin/leads/lead/{lead.pk}/{path}/")) for user in (admin, alice))
        assert ("4,71" in mine, "4,71" in theirs, "4711" in theirs) == (True, False, False), path
    assert text_of(pages(alice).get("/admin/customobjects/fielddefinition/")).count("Secret") >= 1


@pytest.mark.parametrize(
    ("kind", "value", "drawn"),
    [
        ("number", 1200, "1,200"),
        ("text", "<b>", "&lt;b&gt;"),
        ("url", "https://acme.example/", 'href="https://acme.example/" rel="noopener noreferrer" target="_blank">acme.example<'),
        ("url", "javascript:x", "javascript:x"),
        ("choice", "hot", '<span class="badge tone-danger">Hot</span>'),
        ("multi_choice", ["c0"], '<span class="badge ">Cold</span>'),
        ("checkbox", True, "Yes"),
        ("date", "2024-01-31", "2024"),
        ("number", {"odd": 1}, "odd: 1"),
        ("text", None, ""),
    ],
)
def test_cell_of_a_list(tenant, alice, kind, value, drawn):
    item = make_field(tenant, kind)
    with acting(alice):
        shown = cell(item, {item.key: value})
    assert drawn in shown
    assert "<b>" not in shown
    assert 'href="javascript' not in shown


# --- import ---


def mapped(*codes: str, **more: str) -> dict[str, str]:
    return {f"field-{place}": code for place, code in enumerate(codes)} | {name.replace("__", "-"): text for name, text in more.items()}


def upload(web, text: str) -> str:
    answer = web.post("/leads/import", {"file": ContentFile(text.encode(), name="people.csv")})
    return answer.headers["Location"]


def test_columns_are_matched_with_fields_and_make_new_ones(tenant, alice, pages):
    make_field(tenant, "number", label="Shoe size")
    make_field(tenant, "number", label="Margin", visible_to=["admin"])
    web = pages(alice)
    here = upload(web, "Name,SHOE-SIZE,Start,Margin\nAnn,42,31.01.2024,x\n")
    page = web.get(here)
    assert [row["code"] for row in page.context["rows"]] == ["name", "custom:shoe_size", "custom:", "custom:"]
    assert ("Shoe size" in text_of(page), "custom:margin" in text_of(page)) == (True, False)
    body = mapped("name", "custom:shoe_size", "custom:", "-", name__2="First day", kind__2="date")
    assert web.post(here, body).status_code == 302
    assert [(item.key, item.kind) for item in fields(tenant)][2] == ("first_day", "date")
    with inside(tenant.pk):
        from crm.operations.models import Operation

        assert Operation.objects.get().params["mapping"] == {
            "Name": "name", "SHOE-SIZE": "custom:shoe_size", "Start": "custom:first_day", "Margin": "-",
        }  # fmt: skip


def test_unknown_kind_of_a_new_field_is_refused_and_nothing_is_made(tenant, alice, pages):
    web = pages(alice)
    here = upload(web, "Name,Start\nAnn,1\n")
    answer = web.post(here, mapped("name", "custom:", name__1="Start", kind__1="poem"))
    assert (answer.status_code, fields(tenant)) == (422, [])
    assert answer.context["form"].errors == {"kind-1": ["Choose a kind from the list, or none."]}
    refused = web.post(here, mapped("-", "custom:", name__1="Start", kind__1="Number"))
    assert (refused.status_code, fields(tenant)) == (422, [])


@pytest.mark.parametrize("address", ["javascript:alert(1)", " JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x"])
def test_no_page_links_an_address_that_is_none(tenant, alice, pages, address):
    """Websites are kept as they were sent, also by a visitor who could not be told."""
    make_field(tenant, "url", label="Shop", key="shop")
    kept = {"website": address, "custom_fields": {"shop": address, "free": address}, "raw_field_data": {"site": address}}
    one, two = (make_lead(tenant, first_name=name, email="a@acme.example", company="Acme", **kept) for name in ("Ann", "Ben"))
    paths = (f"/leads/{one.pk}", f"/leads/{one.pk}?show=changes", f"/leads/{one.pk}/peek", f"/leads/{one.pk}/fields/website", "/leads?col=cf_shop&col=company",
             f"/leads/{one.pk}/edit", f"/duplicates/merge?lead={one.pk}&lead={two.pk}", f"/admin/leads/lead/{one.pk}/change/")  # fmt: skip
    shown = 0
    for path in paths:
        answer = pages(alice).get(path)
        assert answer.status_code == 200, path
        text = answer.content.decode()
        shown += address.strip() in text
        targets = re.findall(r"""(?:href|src|action|formaction|hx-get)=["\']?\s*([a-z]+):""", text, re.IGNORECASE)
        assert {target.lower() for target in targets} <= {"http", "https", "mailto", "tel"}, path
    assert shown >= 4
