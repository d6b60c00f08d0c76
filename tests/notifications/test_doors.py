"""API and pages of notifications, the bell and the link in mails."""

import pytest

from crm.actors import Actor, Door
from crm.events import live
from crm.identity.selectors import actor_for
from crm.operations.events import OperationEnded
from crm.operations.services import start_operation
from notifications.models import Habits, Notification, Preference
from notifications.receivers import LONG, OPERATION, tell_of_operation
from notifications.registry import known_kinds, notification_kind
from notifications.services import notify
from notifications.services.unsubscribing import DIGEST, unsubscribe_link
from tests.factories import inside

pytestmark = pytest.mark.django_db
KIND = notification_kind("test_door", "A test at the door", by_email=True)


@pytest.fixture
def told(tenant, bob):
    with inside(tenant.pk):
        for number in range(3):
            notify(
                kind=KIND, user_ids=[bob.pk], title=f"Lead {number} is yours", url=f"/leads/{number}", by=Actor.system(tenant_id=tenant.pk)
            )
        return list(Notification.objects.filter(user=bob).order_by("pk"))


def test_the_api_lists_counts_and_marks(api, bob, alice, told):
    client = api(bob)
    answer = client.get("/api/notifications").json()
    assert [row["title"] for row in answer["data"]] == ["Lead 2 is yours", "Lead 1 is yours", "Lead 0 is yours"]
    assert answer["unread"] == 3
    assert client.post(f"/api/notifications/{told[0].pk}/read").json()["data"]["read_at"] is not None
    assert [row["id"] for row in client.get("/api/notifications?unread=true").json()["data"]] == [told[2].pk, told[1].pk]
    assert client.post("/api/notifications/read").json()["data"] == {"marked": 2}
    assert api(alice).get("/api/notifications").json()["data"] == []


def test_a_colleagues_and_a_neighbours_notification_is_unknown(api, alice, mallory, told):
    for person in (alice, mallory):
        assert api(person).post(f"/api/notifications/{told[0].pk}/read").status_code == 404
    assert api().get("/api/notifications").status_code == 401


def test_preferences_are_read_and_changed_by_kind(api, bob):
    client = api(bob)
    data = client.get("/api/notifications/preferences").json()["data"]
    mine = next(item for item in data["kinds"] if item["kind"] == KIND)
    assert (mine["in_page"], mine["by_mail"], data["digest"], data["quiet_from"]) == (True, "at_once", True, None)
    body = {"kinds": [{"kind": KIND, "byMail": "daily"}], "quiet_from": "22:00", "quiet_to": "07:30"}
    data = client.put("/api/notifications/preferences", body).json()["data"]
    mine = next(item for item in data["kinds"] if item["kind"] == KIND)
    assert (mine["in_page"], mine["by_mail"], data["quiet_from"], data["quiet_to"]) == (True, "daily", "22:00:00", "07:30:00")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kinds": [{"kind": "nonsense"}]}, "nonsense"),
        ({"kinds": [{"kind": KIND, "by_mail": "hourly"}]}, "kinds.0.by_mail"),
        ({"quiet_from": "22:00", "quiet_to": None}, "quiet_to"),
        ({"quiet_from": "late"}, "quiet_from"),
    ],
)
def test_wrong_preferences_are_refused_by_name(api, tenant, bob, body, field):
    answer = api(bob).put("/api/notifications/preferences", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field
    with inside(tenant.pk):
        assert not Preference.objects.exists()
        assert not Habits.objects.exists()


def test_the_page_shows_them_and_opening_one_marks_it(pages, bob, told):
    browser = pages(bob)
    assert browser.get("/notifications").content.decode().count("is-new") == 3
    answer = browser.post(f"/notifications/{told[1].pk}/open")
    assert (answer.status_code, answer["Location"]) == (302, "/leads/1")
    html = browser.get("/notifications?show=new").content.decode()
    assert "Lead 1 is yours" not in html
    assert "Lead 2 is yours" in html
    assert 'aria-label="Notifications, 2 new"' in browser.get("/notifications/bell").content.decode()
    browser.post("/notifications/read")
    assert "is-new" not in browser.get("/notifications").content.decode()


def test_a_long_past_is_paged(pages, tenant, bob):
    with inside(tenant.pk):
        Notification.objects.bulk_create(Notification(tenant=tenant, user=bob, kind=KIND, title=f"No. {number:03}") for number in range(60))
    browser = pages(bob)
    first = browser.get("/notifications")
    assert b"No. 059" in first.content
    assert b"No. 009" not in first.content
    with inside(tenant.pk):
        ids = list(Notification.objects.order_by("-pk").values_list("pk", flat=True))
    second = browser.get(f"/notifications?before={ids[49]}")
    assert b"No. 009" in second.content
    assert b"No. 010" not in second.content


def test_an_address_elsewhere_is_never_followed(pages, tenant, bob, told):
    with inside(tenant.pk):
        Notification.objects.filter(pk=told[0].pk).update(url="//evil.example")
    assert pages(bob).post(f"/notifications/{told[0].pk}/open")["Location"] == "/notifications"


def test_choices_are_made_on_the_settings_page(pages, tenant, bob):
    browser = pages(bob)
    html = browser.get("/settings/notifications").content.decode()
    assert "A test at the door" in html
    form = {"digest": "on", f"page_{KIND}": "on", f"mail_{KIND}": "never"}
    form |= {f"mail_{kind.name}": "never" for kind in known_kinds()}
    assert browser.post("/settings/notifications", {**form, "quiet_from": "22:00"}).status_code == 422
    assert browser.post("/settings/notifications", form).status_code == 302
    with inside(tenant.pk):
        kept = Preference.objects.get(user=bob, kind=KIND)
    assert (kept.in_page, kept.by_mail) == (True, "never")


def test_the_link_of_a_mail_stops_that_kind_for_that_person(pages, client, tenant, alice, bob):
    link = unsubscribe_link(user=bob, kind=KIND)
    path = link[link.index("/unsubscribe/") :]
    assert "Stop these e-mails?" in client.get(path).content.decode()
    with inside(tenant.pk):
        assert not Preference.objects.exists()
    assert "No more of these" in client.post(path, {"List-Unsubscribe": "One-Click"}).content.decode()
    with inside(tenant.pk):
        (kept,) = Preference.objects.all()
        assert (kept.user_id, kept.kind, kept.by_mail, kept.in_page) == (bob.pk, KIND, "never", True)
    daily = unsubscribe_link(user=bob, kind=DIGEST)
    client.post(daily[daily.index("/unsubscribe/") :])
    with inside(tenant.pk):
        assert Habits.objects.get(user=bob).digest is False
    assert client.post(path[:-3] + "abc").status_code == client.get("/unsubscribe/nonsense").status_code == 404


def test_a_new_one_is_announced_to_its_reader_alone(tenant, bob, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr(live, "client", type("Valkey", (), {"publish": lambda self, *message: sent.append(message)}))
    with django_capture_on_commit_callbacks(execute=True), inside(tenant.pk):
        notify(kind=KIND, user_ids=[bob.pk], title="Yours", by=Actor.system(tenant_id=tenant.pk))
    (message,) = [text for _channel, text in sent if "notification.made" in text]
    assert f'"user_id": {bob.pk}' in message


def test_who_waited_long_for_an_operation_is_told_that_it_is_done(tenant, bob, alice):
    with inside(tenant.pk):
        operation = start_operation(kind="leads.import", title="Import of fair.csv", by=actor_for(bob, door=Door.PAGE))
        tell_of_operation(OperationEnded(operation_id=operation.pk, seconds=LONG - 1))
        assert not Notification.objects.exists()
        tell_of_operation(OperationEnded(operation_id=operation.pk, seconds=LONG + 1))
        tell_of_operation(OperationEnded(operation_id=operation.pk, seconds=LONG + 1))
        (row,) = Notification.objects.all()
    assert (row.user_id, row.kind, row.title, row.url) == (bob.pk, OPERATION, "Import of fair.csv is done", f"/operations/{operation.pk}")
