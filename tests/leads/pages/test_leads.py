"""The pages of leads."""

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Lead, LeadShare, LeadTransition
from tests.factories import acting, inside, make_form, make_lead, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}
MOST_QUERIES = 25


@pytest.fixture
def web(alice, pages):
    return pages(alice)


def stored(lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.get(pk=lead.pk)


def text(answer) -> str:
    return answer.content.decode()


def rows(answer) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr[^>]* id="lead-(\d+)"', text(answer))]


# --- all pages ---


@pytest.fixture
def filled(tenant, alice, bob):
    """Enough leads to fill every page."""
    now = timezone.now()
    made = []
    for number in range(30):
        owner = (alice, bob, None)[number % 3]
        due = now + timedelta(hours=number - 15) if number % 2 else None
        made.append(
            make_lead(
                tenant,
                first_name=f"N{number}",
                company="Acme",
                email=f"n{number}@acme.example",
                owner=owner,
                next_follow_up_at=due,
                tags=["vip"],
            )
        )
    make_lead(tenant, first_name="Gone", deleted_at=now)
    make_form(tenant)
    with acting(alice):
        LeadShare.objects.create(lead=made[0], user=bob)
        Lead.objects.filter(pk=made[0].pk).update(company="Changed")
    return made


PATHS = (
    "/", "/leads", "/leads?status=new&sort=-score&search=acme", "/leads/new", "/leads/import", "/leads/bin", "/leads/{id}",
    "/leads/{id}?from=sort%3D-score", "/leads/{id}/peek", "/leads/{id}/edit", "/settings/sources", "/settings/sources/new",
    "/search?q=acme", "/search/palette?q=acme",
)  # fmt: skip
FOR_MANAGERS = {"/leads/import", "/leads/bin", "/settings/sources", "/settings/sources/new"}
CLOSED = {"sales_rep": FOR_MANAGERS, "support": FOR_MANAGERS | {"/leads/new", "/leads/{id}/edit"}}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["admin", "manager", "sales_rep", "support"])
def test_pages_open_for_who_may_with_few_queries(filled, tenant, pages, role, django_assert_max_num_queries):
    web = pages(make_user(tenant, role=role))
    # What a process keeps of the tenant's settings is not read for each page.
    web.get(f"/leads/{filled[2].pk}")
    for path in PATHS:
        # Beside a lead are those before and after it in the list it was opened from.
        most = MOST_QUERIES + 2 if "?from=" in path else MOST_QUERIES
        with django_assert_max_num_queries(most, info=path):
            answer = web.get(path.replace("{id}", str(filled[2].pk)))
        assert answer.status_code == (403 if path in CLOSED.get(role, ()) else 200), path
        assert "{{" not in text(answer), path


# --- the list ---


def test_list_pages_by_cursor_for_htmx(web, tenant):
    made = [make_lead(tenant, first_name=f"Row{number:03d}") for number in range(60)]
    first = web.get("/leads")
    assert first.context["total"] == 60
    assert rows(first) == [lead.pk for lead in made[:9:-1]]
    more = web.get("/leads" + first.context["more_url"], **HTMX)
    assert rows(more) == [lead.pk for lead in made[9::-1]]
    assert "<html" not in text(more)
    assert "Row000" in text(more)


def test_list_query_count_is_flat(web, tenant, django_assert_max_num_queries):
    taken = []
    for target in (1, 3, 30):
        with inside(tenant.pk):
            missing = target - Lead.objects.count()
        for _ in range(missing):
            make_lead(tenant, tags=["x"])
        with django_assert_max_num_queries(MOST_QUERIES) as captured:
            web.get("/leads")
        taken.append(len(captured))
    assert len(set(taken)) == 1, taken


def test_list_says_what_is_wrong_in_the_address_and_shows_all(web, tenant):
    make_lead(tenant, first_name="Seen")
    for query in ("status=dreaming", "score_min=x", "sort=secret", "cursor=%21", "cursor=bm9uZQ", "col=none", "shown=x&cursor="):
        answer = web.get(f"/leads?{query}")
        assert answer.status_code == 200, query
        assert "Seen" in text(answer), query


def test_what_people_type_is_shown_as_text(web, tenant):
    make_lead(tenant, first_name="<script>alert(1)</script>", company='"><img src=x>', tags=["<b>"], notes="<i>")
    for path in ("/leads", "/leads?search=%3Cscript%3E"):
        assert "<script>alert" not in text(web.get(path))
        assert "<img src=x>" not in text(web.get(path))


# --- one lead ---


def test_lead_page_shows_its_story_and_its_neighbours(web, tenant, alice):
    old, lead, new = (
        make_lead(tenant, first_name="Oldest"),
        make_lead(tenant, first_name="Jane", company="Was"),
        make_lead(tenant, first_name="Newest"),
    )
    with acting(alice):
        Lead.objects.filter(pk=lead.pk).update(company="Is")
    page = text(web.get(f"/leads/{lead.pk}?from="))
    assert "Jane" in page
    assert "Was" in page
    assert f"/leads/{old.pk}" in page
    assert f"/leads/{new.pk}" in page


@pytest.mark.parametrize(
    ("name", "value", "column", "kept"),
    [
        ("company", "New Ltd", "company", "New Ltd"),
        ("name", "Jane Roe", "last_name", "Roe"),
        ("phone", "(415) 555-0134", "phone", "+14155550134"),
        ("priority", "4", "priority", 4),
        ("tags", "a, b", "tags", ["a", "b"]),
        ("status", "qualified", "status_id", None),
        ("notes", "Line\nline", "notes", "Line\nline"),
        ("follow_up", "2030-01-31T09:00", "next_follow_up_at", None),
        ("owner", "", "owner_id", None),
    ],
)
def test_field_is_edited_in_place(web, tenant, name, value, column, kept):
    lead = make_lead(tenant, first_name="X")
    url = f"/leads/{lead.pk}/fields/{name}"
    assert "<form" in text(web.get(url + "?edit=1", **HTMX))
    answer = web.post(url, {name: value}, **HTMX)
    assert answer.status_code == 200
    assert "<html" not in text(answer)
    if kept is not None:
        assert getattr(stored(lead), column) == kept
    assert web.post(url, {name: value}).status_code == 302


@pytest.mark.parametrize(
    ("name", "value"),
    [("email", "bad"), ("status", "won"), ("company", "x" * 201), ("owner", "999999"), ("priority", "9"), ("follow_up", "x")],
)
def test_field_that_is_refused_comes_back_as_its_form_with_422(web, tenant, name, value):
    lead = make_lead(tenant, first_name="X", email="x@acme.example")
    answer = web.post(f"/leads/{lead.pk}/fields/{name}", {name: value}, **HTMX)
    assert answer.status_code == 422
    assert "<form" in text(answer)
    assert stored(lead).updated_at == lead.updated_at


def test_field_that_is_none_is_refused(web, tenant):
    lead = make_lead(tenant)
    for name in ("tenant", "email_key", "score", "password"):
        assert web.post(f"/leads/{lead.pk}/fields/{name}", {name: "1"}, **HTMX).status_code in (302, 400, 404, 422), name
    assert stored(lead).score == 0


def test_support_cannot_edit_in_place(pages, tenant):
    lead = make_lead(tenant, company="Old")
    web = pages(make_user(tenant, role="support"))
    assert "<form" not in text(web.get(f"/leads/{lead.pk}/fields/company?edit=1", **HTMX))
    assert web.post(f"/leads/{lead.pk}/fields/company", {"company": "New"}, **HTMX).status_code in (403, 422)
    assert stored(lead).company == "Old"


def test_edit_page_changes_all_fields_at_once(web, tenant):
    lead = make_lead(tenant, first_name="Jane", company="Old", company_size="3 people")
    form = web.get(f"/leads/{lead.pk}/edit").context["form"]
    data = {name: form.initial.get(name) or "" for name in form.fields}
    answer = web.post(f"/leads/{lead.pk}/edit", {**data, "company": "New", "tags": "a,b"})
    assert answer.status_code == 302
    assert (stored(lead).company, stored(lead).tags, stored(lead).company_size) == ("New", ["a", "b"], "3 people")
    assert web.post(f"/leads/{lead.pk}/edit", {**data, "email": "bad"}).status_code == 422


def test_status_is_moved_and_the_refusal_is_said(web, tenant):
    lead = make_lead(tenant)
    assert web.post(f"/leads/{lead.pk}/move", {"status": "lost", "reason": "no_budget"}).status_code == 302
    assert stored(lead).lost_reason == "no_budget"
    refused = web.post(f"/leads/{lead.pk}/move", {"status": "won"}, follow=True)
    assert "cannot move" in text(refused)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_actions_lead_back_to_this_site_only(web, tenant, target):
    lead = make_lead(tenant)
    answer = web.post(f"/leads/{lead.pk}/follow-up", {"in": "1d", "next": target})
    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


def test_follow_up_is_put_off_or_done(web, tenant):
    lead = make_lead(tenant, next_follow_up_at=timezone.now())
    web.post(f"/leads/{lead.pk}/follow-up", {"in": "3d"})
    assert timedelta(days=2, hours=23) < stored(lead).next_follow_up_at - timezone.now() <= timedelta(days=3)
    put_off = stored(lead).next_follow_up_at
    answer = web.post(f"/leads/{lead.pk}/follow-up", {}, follow=True)
    assert (stored(lead).next_follow_up_at, stored(lead).last_contact_at is not None) == (None, True)
    undo = html.unescape(re.findall(rf'"(/leads/{lead.pk}/follow-up\?[^"]+)"', text(answer))[-1])
    web.post(f"/leads/{lead.pk}/follow-up?was=1&last_contact_at=2001-01-01T09:00:00%2B00:00")
    assert stored(lead).last_contact_at is not None
    web.post(undo)
    assert (stored(lead).next_follow_up_at, stored(lead).last_contact_at) == (put_off, None)


# --- adding ---


def test_new_lead_is_added_and_shown(web, tenant, alice):
    form = web.get("/leads/new").context["form"]
    assert form.initial["owner"] == str(alice.pk)
    answer = web.post(
        "/leads/new", {"first_name": "Jane", "email": "j@acme.example", "priority": "3", "owner": str(alice.pk), "tags": "a, b"}
    )
    with inside(tenant.pk):
        lead = Lead.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/leads/{lead.pk}")
    assert (lead.created_via, lead.platform_key, lead.owner_id, lead.tags) == ("page", "manual", alice.pk, ["a", "b"])


def test_duplicate_is_shown_with_a_way_to_add_it_all_the_same(web, tenant):
    known = make_lead(tenant, first_name="Known", email="j@acme.example")
    data = {"first_name": "Again", "email": "J@acme.example", "priority": "2"}
    answer = web.post("/leads/new", data)
    assert answer.status_code == 422
    assert f"/leads/{known.pk}" in text(answer)
    assert "ignore_duplicates" in text(answer)
    assert web.post("/leads/new", {**data, "ignore_duplicates": "1"}).status_code == 302


def test_new_lead_says_what_is_wrong(web, tenant):
    answer = web.post("/leads/new", {"email": "bad", "priority": "2"})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"email"}
    with inside(tenant.pk):
        assert not Lead.objects.exists()


# --- bin, sources ---


def test_lead_goes_to_the_bin_and_comes_back(web, tenant):
    lead = make_lead(tenant, first_name="Jane")
    answer = web.post(f"/leads/{lead.pk}/delete", follow=True)
    assert answer.redirect_chain == [("/leads", 302)]
    assert f"/leads/{lead.pk}/restore" in text(answer)
    assert "Jane" in text(web.get("/leads/bin"))
    assert web.get(f"/leads/{lead.pk}").status_code == 404
    assert web.post(f"/leads/{lead.pk}/restore").headers["Location"] == f"/leads/{lead.pk}"
    assert stored(lead).deleted_at is None


def test_source_is_made_signed_rotated_and_deleted(pages, admin, tenant):
    from leads.models import FormKey, WebForm

    web = pages(admin)
    answer = web.post(
        "/settings/sources/new",
        {"name": "Site", "lead_source": "Website", "hourly_limit": "10", "is_active": "on", "allowed_origins": "https://a.example"},
    )
    with inside(tenant.pk):
        form = WebForm.objects.get()
    url = f"/settings/sources/{form.pk}"
    assert answer.headers["Location"] == url
    key = FormKey.objects.get().key
    assert key in text(web.get(url))
    web.post(f"{url}/action", {"action": "rotate"})
    assert FormKey.objects.get().key != key
    web.post(f"{url}/action", {"action": "sign"})
    with inside(tenant.pk):
        secret = WebForm.objects.get().signing_secret
    assert secret in text(web.get(url))
    assert secret not in text(web.get(url))
    assert web.post(url, {"name": "Site", "lead_source": "W", "hourly_limit": "10", "allowed_origins": "not an origin"}).status_code == 422
    assert web.post("/settings/sources/new", {"name": "Site", "lead_source": "W", "hourly_limit": "10"}).status_code == 422
    web.post(f"{url}/action", {"action": "delete"})
    assert not FormKey.objects.exists()


def test_a_status_chosen_in_place_asks_in_a_dialog_for_what_the_move_needs(web, tenant):
    with inside(tenant.pk):
        LeadTransition.objects.filter(source__code="new", target__code="qualified").update(required_fields=["company"], needs_reason=True)
    lead = make_lead(tenant)
    url = f"/leads/{lead.pk}/fields/status"
    asked = web.post(url, {"status": "qualified"}, **HTMX, HTTP_HX_CURRENT_URL="http://testserver/leads?sort=name")
    assert (asked.status_code, asked.headers["HX-Retarget"]) == (422, "#move-holder")
    shown = text(asked)
    assert 'id="move-dialog"' in shown
    assert 'name="asked" value="company,reason"' in shown
    assert 'name="next" value="/leads?sort=name"' in shown
    with inside(tenant.pk):
        assert Lead.objects.get(pk=lead.pk).status.code == "new"
    # Without scripts it is a page of its own.
    page = web.post(url, {"status": "qualified"})
    assert (page.status_code, 'id="move-form"' in text(page), "<html" in text(page)) == (422, True, True)


def test_a_loss_chosen_in_place_is_asked_for_its_reason_and_other_moves_go_through(web, tenant):
    lead = make_lead(tenant)
    url = f"/leads/{lead.pk}/fields/status"
    assert 'name="asked" value="reason"' in text(web.post(url, {"status": "lost"}, **HTMX))
    saved = web.post(url, {"status": "qualified"}, **HTMX)
    assert (saved.status_code, "Qualified" in text(saved)) == (200, True)
    assert "form" in text(web.get(url, **HTMX))
    assert "Select a valid choice" in text(web.post(url, {"status": "nonsense"}, **HTMX))
