"""The inbox and one arrival, as managers see them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Arrival
from tests.factories import inside, make_form, make_lead
from tests.webhooks.inbox_parts import TOKEN, form_answers, make_arrival, make_source
from webhooks.models import ArrivalJob
from webhooks.services.arrivals import process_due

FAILED = {"processing_status": "failed", "error": "Give at least one of name, e-mail, phone or company."}
DONE = {"processing_status": "processed"}


def text_of(answer) -> str:
    return answer.content.decode()


def titles(answer) -> list[str]:
    return [row["title"] for row in answer.context["rows"]]


def states(tenant) -> list[str]:
    with inside(tenant.pk):
        return list(Arrival.objects.order_by("pk").values_list("processing_status", flat=True))


@pytest.fixture
def source(tenant):
    return make_source(tenant)


@pytest.fixture
def mixed(tenant, source):
    """One arrival in each state."""
    lead = make_lead(tenant, first_name="Ann", last_name="Archer")
    waiting = make_arrival(tenant, number=1, attempts=2, error="Facebook did not answer.")
    failed = make_arrival(tenant, source, number=2, **FAILED)
    created = make_arrival(tenant, number=3, lead=lead, **DONE)
    merged = make_arrival(tenant, source, number=4, lead=lead, was_duplicate=True, **DONE)
    with inside(tenant.pk):
        ArrivalJob.objects.create(tenant=tenant, arrival_id=waiting.pk, due_at=timezone.now() + timedelta(minutes=5))
    return {"waiting": waiting, "failed": failed, "created": created, "merged": merged}


def test_inbox_shows_everything_newest_first_with_counts(mixed, alice, pages):
    answer = pages(alice).get("/arrivals")
    assert [row["state"] for row in answer.context["rows"]] == ["merged", "created", "failed", "waiting"]
    assert titles(answer) == ["Ann Archer", "Ann Archer", "", "p1@acme.example"]
    assert [(str(view["label"]), view["count"]) for view in answer.context["views"]] == [
        ("All", ""), ("Waiting", 1), ("Failed", 1), ("Created", ""), ("Merged", ""),
    ]  # fmt: skip
    text = text_of(answer)
    assert "Give at least one of name" in text
    assert "tried 2 times" in text
    assert "Acme page" in text


@pytest.mark.parametrize("state", ["waiting", "failed", "created", "merged"])
def test_each_state_has_its_own_tab(mixed, alice, pages, state):
    answer = pages(alice).get("/arrivals", {"state": state})
    assert [row["arrival"].pk for row in answer.context["rows"]] == [mixed[state].pk]


def test_inbox_narrows_by_door_source_channel_time_and_id(tenant, source, mixed, alice, pages):
    client = pages(alice)
    other = make_source(tenant, kind="webhook", name="Fair")
    form = make_form(tenant)
    make_arrival(tenant, other, number=5, platform_key="api")
    make_arrival(tenant, number=6, door_id=form.pk)

    def found(**params):
        return [row["arrival"].source_lead_id for row in client.get("/arrivals", params).context["rows"]]

    assert found(door="facebook") == ["id-4", "id-2"]
    assert found(source_id=other.pk) == ["id-5"]
    assert found(origin=f"website:{form.pk}") == ["id-6"]
    assert found(platform="api") == ["id-5"]
    assert found(search="id-3") == ["id-3"]
    assert found(received_after=(timezone.now() + timedelta(days=2)).date().isoformat()) == []
    assert len(found(received_before=timezone.now().date().isoformat(), door="facebook,website,webhook")) == 6


def test_wrong_address_says_so_and_shows_all(mixed, alice, pages):
    answer = pages(alice).get("/arrivals", {"state": "dreaming", "cursor": "x"})
    assert (answer.status_code, len(answer.context["rows"])) == (200, 4)
    assert "Must be one of waiting, failed, created, merged." in text_of(answer)


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "Nothing has come in yet"), ("?state=failed", "Nothing has failed"), ("?state=waiting", "Nothing waits"), ("?state=merged", "None yet"),
     ("?search=nothing", "Nothing like this came in")],
)  # fmt: skip
def test_empty_inbox_says_what_is_true(alice, pages, query, words):
    assert words in text_of(pages(alice).get(f"/arrivals{query}"))


def test_more_rows_come_by_htmx_without_the_page(tenant, alice, pages, monkeypatch):
    monkeypatch.setattr("webhooks.pages.inbox.PAGE_SIZE", 2)
    for number in range(5):
        make_arrival(tenant, number=number)
    client = pages(alice)
    seen, url = [], "/arrivals"
    for _page in range(3):
        answer = client.get(url, HTTP_HX_REQUEST="true" if seen else "")
        seen += [row["arrival"].source_lead_id for row in answer.context["rows"]]
        assert ("<html" in text_of(answer)) == (len(seen) == 2)
        url = "/arrivals" + answer.context["more_url"]
    assert seen == [f"id-{number}" for number in (4, 3, 2, 1, 0)]
    assert answer.context["more_url"] == ""


@pytest.mark.parametrize("count", [1, 30])
def test_inbox_query_count_is_flat(tenant, source, alice, pages, count, django_assert_max_num_queries):
    lead = make_lead(tenant)
    for number in range(count):
        make_arrival(tenant, source, number=number * 3, **FAILED)
        make_arrival(tenant, number=number * 3 + 1, lead=lead, **DONE)
        make_arrival(tenant, number=number * 3 + 2)
    client = pages(alice)
    client.get("/arrivals")
    with django_assert_max_num_queries(16) as captured:
        client.get("/arrivals")
    assert len([query for query in captured if "leads_arrival" in query["sql"]]) == 3


# --- one arrival ---


def test_arrival_shows_what_it_holds_and_what_it_would_become(tenant, source, alice, pages):
    arrival = make_arrival(
        tenant, source, payload=form_answers(full_name="Pat Poe", email="pat@acme.example", farbe="<b>blue</b>"), form_id="9", **FAILED
    )
    text = text_of(pages(alice).get(f"/arrivals/{arrival.pk}"))
    for part in ("Pat", "Poe", "pat@acme.example", "farbe", "&lt;b&gt;blue&lt;/b&gt;", FAILED["error"], "Details fetched"):
        assert part in text, part
    assert "<b>blue" not in text
    assert f"/settings/connections/{source.pk}/mapping?form=9&amp;arrival={arrival.pk}" in text
    assert TOKEN not in text


def test_arrival_that_makes_no_lead_says_why(tenant, source, alice, pages):
    arrival = make_arrival(tenant, source, payload=form_answers(farbe="blue"), **FAILED)
    assert "Name: Give at least one of name, e-mail, phone or company." in text_of(pages(alice).get(f"/arrivals/{arrival.pk}"))


def test_arrival_that_breaks_its_reader_can_still_be_looked_at(tenant, alice, pages):
    arrival = make_arrival(tenant, payload={"nothing": ["of", {"use": None}]}, **FAILED)
    answer = pages(alice).get(f"/arrivals/{arrival.pk}")
    assert answer.status_code == 200
    assert "No lead would be made." in text_of(answer)


def test_web_form_has_no_mapping_and_the_page_says_so(tenant, alice, pages):
    arrival = make_arrival(tenant, **FAILED)
    text = text_of(pages(alice).get(f"/arrivals/{arrival.pk}"))
    assert "Web forms have no mapping" in text
    assert "/mapping" not in text


def test_long_payload_is_cut(tenant, alice, pages):
    arrival = make_arrival(tenant, payload={"answers": {"email": "a@acme.example", "long": "x" * 60_000}})
    text = text_of(pages(alice).get(f"/arrivals/{arrival.pk}"))
    assert "The first 20,000 of 60," in text
    assert len(text) < 80_000


def test_lead_it_would_join_is_named_unless_it_is_its_own(tenant, source, alice, pages):
    lead = make_lead(tenant, first_name="Known", email="pat@acme.example")
    payload = form_answers(email="pat@acme.example")
    failed = make_arrival(tenant, source, payload=payload, **FAILED)
    own = make_arrival(tenant, source, number=2, payload=payload, lead=lead, **DONE)
    client = pages(alice)
    assert "It would join the lead" in text_of(client.get(f"/arrivals/{failed.pk}"))
    assert "It would join the lead" not in text_of(client.get(f"/arrivals/{own.pk}"))


# --- replay ---


def test_replay_makes_the_lead_once_the_mapping_is_mended(tenant, source, alice, pages):
    arrival = make_arrival(tenant, source, payload=form_answers(email="pat@acme.example"), **FAILED)
    client = pages(alice)
    assert client.post(f"/arrivals/{arrival.pk}/replay").headers["Location"] == f"/arrivals/{arrival.pk}"
    assert states(tenant) == ["received"]
    process_due()
    with inside(tenant.pk):
        assert Arrival.objects.get().lead.email == "pat@acme.example"
    assert "This arrival has not failed." in text_of(client.post(f"/arrivals/{arrival.pk}/replay", follow=True))


def test_replay_all_takes_the_door_or_source_in_sight_only(tenant, source, alice, pages):
    other = make_source(tenant, kind="webhook", name="Fair")
    make_arrival(tenant, source, number=1, **FAILED)
    make_arrival(tenant, other, number=2, platform_key="api", **FAILED)
    make_arrival(tenant, number=3, **FAILED)
    client = pages(alice)
    answer = client.get("/arrivals", {"origin": f"webhook:{other.pk}", "platform": "website"})
    assert (answer.context["rows"], answer.context["failed"], answer.context["target"]) == ([], 1, [("origin", f"webhook:{other.pk}")])
    answer = client.post("/arrivals/replay", {"origin": f"webhook:{other.pk}", "next": "/arrivals?door=webhook"}, follow=True)
    assert answer.redirect_chain == [("/arrivals?door=webhook", 302)]
    assert "1 arrival is read anew." in text_of(answer)
    assert states(tenant) == ["failed", "received", "failed"]
    client.post("/arrivals/replay", {"door": "facebook"})
    assert states(tenant) == ["received", "received", "failed"]
    assert "1 arrival is read anew." in text_of(client.post("/arrivals/replay", follow=True))
    assert "None of these has failed." in text_of(client.post("/arrivals/replay", follow=True))


# --- who may ---


def test_reps_neither_see_nor_replay(tenant, source, bob, pages):
    arrival = make_arrival(tenant, source, **FAILED)
    client = pages(bob)
    for path in ("/arrivals", f"/arrivals/{arrival.pk}"):
        assert client.get(path).status_code == 403, path
    for path in ("/arrivals/replay", f"/arrivals/{arrival.pk}/replay"):
        assert client.post(path).status_code == 403, path
    assert states(tenant) == ["failed"]
    assert 'href="/arrivals"' not in text_of(client.get("/leads"))


def test_next_door_sees_nothing(tenant, source, mallory, pages):
    arrival = make_arrival(tenant, source, **FAILED)
    client = pages(mallory)
    assert client.get("/arrivals").context["rows"] == []
    assert client.get(f"/arrivals/{arrival.pk}").status_code == 404
    assert client.post(f"/arrivals/{arrival.pk}/replay").status_code == 404
    client.post("/arrivals/replay")
    assert states(tenant) == ["failed"]


# --- the admin ---


def test_admin_lists_sources_without_secrets_and_replays(tenant, source, admin, pages):
    failed = make_arrival(tenant, source, **FAILED)
    done = make_arrival(tenant, number=2, **DONE)
    client = pages(admin)
    for path in ("/admin/webhooks/source/", f"/admin/webhooks/source/{source.pk}/change/", "/admin/webhooks/fieldmapping/"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert TOKEN not in text_of(answer)
        assert source.token not in text_of(answer)
    answer = client.post("/admin/leads/arrival/", {"action": "replay", "_selected_action": [failed.pk, done.pk]}, follow=True)
    assert "1 arrival is read anew." in text_of(answer)
    assert states(tenant) == ["received", "processed"]
