"""Working hours of teams and people, and holidays: what is stored, and what counts."""

from datetime import UTC, date, datetime

import pytest

from crm.identity.hours import team_time, tenant_time, user_time
from crm.identity.models import Holiday
from tests.factories import inside, make_team

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 3, 9, 10, tzinfo=UTC)


def test_a_person_keeps_the_companys_hours_until_they_have_their_own(api, tenant, alice, bob):
    tenant.working_hours = {str(day): ["09:00", "17:00"] for day in range(5)}
    tenant.save()
    with inside(tenant.pk):
        assert user_time(bob).is_open(MONDAY)
    body = {"working_hours": {"0": ["14:00", "22:00"]}, "time_zone": "Europe/Paris"}
    answer = api(alice).put(f"/api/settings/hours/users/{bob.pk}", body)
    assert answer.json()["data"] == {"id": bob.pk, **body}
    bob.refresh_from_db()
    with inside(tenant.pk):
        own = user_time(bob)
        assert not own.is_open(MONDAY)
        assert own.opens_at(MONDAY) == datetime(2026, 3, 9, 13, tzinfo=UTC)
        assert tenant_time().is_open(MONDAY)


def test_holidays_of_all_and_of_a_team(api, tenant, alice, bob):
    team = make_team(tenant, bob)
    client = api(alice)
    made = client.post("/api/settings/holidays", {"date": "2026-03-09", "name": "Team day", "team_id": team.pk})
    assert made.status_code == 201
    with inside(tenant.pk):
        assert (user_time(bob).is_open(MONDAY), team_time(team).is_open(MONDAY), user_time(alice).is_open(MONDAY)) == (False, False, True)
    assert client.post("/api/settings/holidays", {"date": "2026-03-09", "name": "Founders' day"}).status_code == 201
    again = client.post("/api/settings/holidays", {"date": "2026-03-09", "name": "Founders' day"})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "date")
    with inside(tenant.pk):
        assert not user_time(alice).is_open(MONDAY)
    assert [row["name"] for row in client.get("/api/settings/holidays").json()["data"]] == ["Team day", "Founders' day"]
    assert client.delete(f"/api/settings/holidays/{made.json()['data']['id']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"working_hours": {"9": ["08:00", "16:00"]}}, "working_hours"),
        ({"working_hours": {"0": ["16:00", "08:00"]}}, "working_hours"),
        ({"working_hours": {}, "time_zone": "Mars/Olympus"}, "time_zone"),
        ({}, "working_hours"),
    ],
)
def test_hours_that_cannot_be_are_refused(api, alice, bob, body, field):
    answer = api(alice).put(f"/api/settings/hours/users/{bob.pk}", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_a_rep_sets_nobodys_hours(api, pages, alice, bob):
    assert api(bob).put(f"/api/settings/hours/users/{bob.pk}", {"working_hours": {}}).status_code == 403
    assert pages(bob).get(f"/settings/hours/users/{bob.pk}").status_code == 403


def test_the_pages_show_and_keep_hours_and_holidays(pages, tenant, alice, bob):
    browser = pages(alice)
    form = {
        "own": "on",
        "time_zone": "",
        "open_0": "on",
        "from_0": "08:00",
        "to_0": "12:00",
        "open_1": "on",
        "from_1": "08:00",
        "to_1": "12:00",
    }
    assert browser.post(f"/settings/hours/users/{bob.pk}", form).status_code == 302
    assert "Mon–Tue 08:00–12:00" in browser.get("/settings/hours").content.decode()
    assert browser.post(f"/settings/hours/users/{bob.pk}", {**form, "to_1": "07:00"}).status_code == 422
    assert browser.post("/settings/hours", {"date": "2036-12-25", "name": "Christmas", "team": ""}).status_code == 302
    assert "Christmas" in browser.get("/settings/hours").content.decode()
    with inside(tenant.pk):
        holiday = Holiday.objects.get()
    assert holiday.date == date(2036, 12, 25)
    browser.post(f"/settings/hours/holidays/{holiday.pk}/remove")
    assert "Christmas" not in browser.get("/settings/hours").content.decode()
    assert browser.post(f"/settings/hours/users/{bob.pk}", {"time_zone": ""}).status_code == 302
    bob.refresh_from_db()
    assert bob.working_hours == {}
