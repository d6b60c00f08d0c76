"""The audit log by API and page."""

import pytest

from crm.identity.services.people import update_profile
from tests.factories import PASSWORD, acting

pytestmark = pytest.mark.django_db


@pytest.fixture
def changed(alice):
    with acting(alice) as by:
        for number in range(4):
            update_profile(user=alice, data={"phone": str(number)}, by=by)


def test_the_api_pages_by_cursor(api, alice, changed):
    client = api(alice)
    first = client.get("/api/audit/logs?limit=3").json()
    rest = client.get("/v1/audit/logs", {"before": first["meta"]["pagination"]["nextCursor"]}).json()
    assert (len(first["data"]), len(rest["data"]), rest["meta"]["pagination"]["hasNext"]) == (3, 1, False)
    entry = first["data"][0]
    assert (entry["actor"], entry["user_id"], entry["action"], entry["model"], entry["record_id"]) == (
        "Alice Archer",
        alice.pk,
        "changed",
        "identity.user",
        alice.pk,
    )
    assert entry["details"] == {"fields": ["phone"]}
    assert client.get("/api/audit/logs?before=2000-01-01T00:00:00Z").json()["data"] == []


def test_sign_ins_are_on_record_from_both_doors(api, pages, alice):
    pages().post("/sign-in", {"email": alice.email, "password": PASSWORD})
    api().post("/api/auth/login", {"email": alice.email, "password": PASSWORD})
    rows = api(alice).get("/api/audit/logs?model=audit.auditevent").json()["data"]
    assert [(row["action"], row["door"]) for row in rows] == [("signed_in", "api"), ("signed_in", "page")]


@pytest.mark.parametrize("query", ["model=leads.nothing", "before=x", "limit=0", "user_id=x"])
def test_the_api_refuses_a_bad_query(api, alice, query):
    assert api(alice).get(f"/api/audit/logs?{query}").status_code == 400


def test_a_rep_reads_no_log_and_next_door_reads_its_own(api, pages, bob, mallory, changed):
    assert api(bob).get("/api/audit/logs").status_code == 403
    assert pages(bob).get("/settings/audit").status_code == 403
    assert api(mallory).get("/api/audit/logs").json()["data"] == []


def test_the_page_shows_filters_and_loads_more(pages, alice, bob, changed):
    client = pages(alice)
    page = client.get("/settings/audit").content.decode()
    assert page.count("Changed: ") == 4
    assert "Nothing on record" in client.get(f"/settings/audit?person={bob.pk}").content.decode()
    assert client.get("/settings/audit?model=identity.user").status_code == 200
    for query in ("model=x", "before=x"):
        assert client.get(f"/settings/audit?{query}").status_code == 404


def test_the_page_loads_more_as_a_fragment(pages, alice):
    with acting(alice) as by:
        for number in range(60):
            update_profile(user=alice, data={"phone": str(number)}, by=by)
    client = pages(alice)
    page = client.get("/settings/audit").content.decode()
    link = page.split('hx-get="?before=')[1].split('"')[0]
    part = client.get(f"/settings/audit?before={link}", HTTP_HX_REQUEST="true").content.decode()
    assert part.count("<tr>") == 10
    assert "hx-get" not in part
