"""Saved views: who has them, who may change them, what they keep, by API and page."""

import runpy
from pathlib import Path
from urllib.parse import urlencode

import pytest

from crm.savedviews.models import SavedView
from crm.savedviews.selectors import views_visible_to
from tests.factories import acting, inside, make_team, make_user


@pytest.fixture
def client(alice, api):
    return api(alice)


def save(client, name="Hot", **more):
    return client.post(
        "/api/views", {"list": "leads", "name": name, "query": {"status": "new", "sort": "-score", "col": ["company"]}, **more}
    )


def seen(user) -> list[str]:
    with acting(user) as by:
        return [view.name for view in views_visible_to(by)]


def test_a_view_keeps_the_state_of_its_list(client):
    answer = save(client, query={"status": "new", "col": ["company", "score"], "cursor": "x", "view": "3", "empty": ""})
    data = answer.json()["data"]
    assert (answer.status_code, data["query"]) == (201, {"status": "new", "col": ["company", "score"]})
    assert set(data["url"].split("?")[1].split("&")) == {"status=new", "col=company", "col=score", f"view={data['id']}"}


def test_views_are_seen_by_their_audience(alice, bob, mallory, tenant, api):
    team = make_team(tenant, alice, bob)
    outsider = make_user(tenant, role="sales_rep")
    save(api(alice), "Own")
    save(api(alice), "Ours", audience="team", teamId=team.pk)
    save(api(alice), "All", audience="everyone")
    assert sorted(seen(alice)) == ["All", "Ours", "Own"]
    assert sorted(seen(bob)) == ["All", "Ours"]
    assert seen(outsider) == ["All"]
    assert seen(mallory) == []


def test_only_who_may_share_shares_with_everyone(alice, bob, api, tenant):
    assert save(api(bob), audience="everyone").status_code == 403
    mine = save(api(bob)).json()["data"]["id"]
    assert api(bob).put(f"/api/views/{mine}", {"defaultFor": ["sales_rep"]}).status_code in (400, 403)
    assert api(alice).get(f"/api/views/{mine}").status_code == 404
    shared = save(api(alice), "All", audience="everyone", default_for=["sales_rep"]).json()["data"]
    assert shared["default_for"] == ["sales_rep"]
    assert api(bob).put(f"/api/views/{shared['id']}", {"name": "Mine now"}).status_code == 403
    assert api(bob).delete(f"/api/views/{shared['id']}").status_code == 403


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": " "}, "name"),
        ({"list": "deals"}, "list"),
        ({"audience": "world"}, "audience"),
        ({"audience": "team"}, "team"),
        ({"default_for": ["sales_rep"]}, "default_for"),
        ({"audience": "everyone", "default_for": ["emperor"]}, "default_for"),
        ({"query": {"status": {"a": 1}}}, "query"),
        ({"query": {"search": "a\x00"}}, "query"),
    ],
)
def test_what_is_wrong_is_told_by_field(client, more, field):
    body = {"list": "leads", "name": "Hot", "query": {}, **more}
    answer = client.post("/api/views", body)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_a_name_is_given_once_by_a_person(client, bob, api):
    assert save(client).status_code == 201
    assert save(client).status_code == 409
    assert save(api(bob)).status_code == 201


def test_a_change_leaves_what_it_does_not_name(client, tenant):
    pk = save(client, is_pinned=True).json()["data"]["id"]
    data = client.put(f"/api/views/{pk}", {"name": "Warm"}).json()["data"]
    assert (data["name"], data["is_pinned"], data["query"]["status"]) == ("Warm", True, "new")
    assert client.delete(f"/api/views/{pk}").status_code == 200
    with inside(tenant.pk):
        assert not SavedView.objects.exists()


# --- pages ---


def test_the_list_offers_to_save_what_is_not_saved_and_shows_the_tab(alice, pages, tenant):
    web = pages(alice)
    assert "Save view" not in web.get("/leads?status=new").content.decode()
    assert "Save view" in web.get("/leads?status=new&priority=high").content.decode()
    answer = web.post(
        "/views/leads/new", {"name": "Hot new", "audience": "private", "is_pinned": "on", "state": "status=new&priority=high"}
    )
    assert answer.status_code == 302
    page = web.get(answer.url).content.decode()
    assert "Hot new" in page
    assert "Save view" not in page
    with inside(tenant.pk):
        view = SavedView.objects.get()
    changed = web.get(f"/leads?status=new&view={view.pk}").content.decode()
    assert f'action="/views/{view.pk}/save"' in changed
    web.post(f"/views/{view.pk}/save", {"state": "status=new"})
    with inside(tenant.pk):
        assert SavedView.objects.get().query == {"status": "new"}
    assert web.post(f"/views/{view.pk}/edit", {"name": "Renamed", "audience": "private"}).status_code == 302
    assert web.post(f"/views/{view.pk}/delete").status_code == 302
    with inside(tenant.pk):
        assert not SavedView.objects.exists()


def test_the_list_opens_with_the_view_of_ones_role(alice, bob, api, pages):
    save(api(alice), "For reps", audience="everyone", default_for=["sales_rep"])
    target = pages(bob).get("/leads").url
    assert "status=new" in target
    assert "view=" in target
    assert pages(bob).get("/leads?view=all").status_code == 200
    assert pages(alice).get("/leads").status_code == 200


def test_a_wrong_form_says_so(alice, pages):
    answer = pages(alice).post("/views/leads/new", {"name": "", "audience": "private"})
    assert answer.status_code == 422
    assert pages(alice).get("/views/nonsense/new").status_code == 404


# --- long states ---


@pytest.mark.parametrize("query", [{"search": "é" * 800}, {"filter": "[" * 1600}, {"col": ["company"] * 450}])
def test_what_could_not_be_opened_is_not_kept(client, alice, pages, query):
    answer = save(client, query=query)
    assert answer.status_code == 400
    assert "Too long to be opened" in answer.json()["errors"][0]["message"]
    state = urlencode(query, doseq=True)
    web = pages(alice).post("/views/leads/new", {"name": "Long", "audience": "private", "state": state})
    assert (web.status_code, "Too long to be opened" in web.content.decode()) == (422, True)


def test_the_longest_view_opens_and_can_be_saved_anew(client):
    """Gunicorn reads so long a line at most, and the link that saves a state holds it encoded twice."""
    data = save(client, query={"filter": '"' * 1495}).json()["data"]
    most = runpy.run_path(str(Path(__file__).parents[3] / "deploy" / "gunicorn.conf.py"))["limit_request_line"]
    again = f"/views/leads/new?{urlencode({'state': data['url'].split('?')[1]})}"
    assert len(data["url"]) > 4_400
    assert max(len(f"GET {path} HTTP/1.1\r\n") for path in (data["url"], again)) < most
