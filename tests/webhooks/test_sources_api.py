"""Sources by REST: settings, keys, signatures, mappings."""

import pytest

from crm.sealed import unseal
from tests.factories import acting, inside
from tests.webhooks.inbox_parts import TOKEN, form_answers, make_arrival, make_source
from webhooks.models import FieldMapping, Source, SourceKey
from webhooks.services.sources import save_mapping

RULES = [{"field": "name", "from": ["wer"]}, {"field": "email", "from": "post"}]
KEPT = [
    {"field": "name", "from": ["wer"], "join": " ", "default": ""},
    {"field": "email", "from": ["post"], "join": " ", "default": ""},
]


@pytest.fixture
def source(tenant):
    return make_source(tenant)


def stored(tenant, pk: int) -> Source:
    with inside(tenant.pk):
        return Source.objects.get(pk=pk)


def test_source_is_made_read_changed_and_deleted(tenant, alice, bob, api):
    client = api(alice)
    made = client.post(
        "/api/sources",
        {"kind": "email", "name": "Sales", "token": TOKEN, "options": {"host": "imap.acme.example", "mailgun_key": "key-abcdef"}, "tags": ["mail"],
         "defaultOwnerId": bob.pk},
    )  # fmt: skip
    assert made.status_code == 201
    data = made.json()["data"]
    assert (data["kind"], data["has_token"], data["signing"], data["default_owner_id"], data["failed_arrivals"]) == (
        "email",
        True,
        False,
        bob.pk,
        0,
    )
    assert (data["options"]["host"], data["options"]["port"]) == ("imap.acme.example", 993)
    assert data["address"].endswith("/api/webhooks/email/" + SourceKey.objects.get(tenant=tenant).key)
    path = f"/api/sources/{data['id']}"
    changed = client.patch(path, {"name": "Desk", "options": {"folder": "Leads"}}).json()["data"]
    assert (changed["name"], changed["tags"], changed["default_owner_id"]) == ("Desk", ["mail"], bob.pk)
    assert (changed["options"]["host"], changed["options"]["folder"]) == ("imap.acme.example", "Leads")
    kept = stored(tenant, data["id"])
    assert (unseal(kept.token), unseal(kept.options["mailgun_key"])) == (TOKEN, "key-abcdef")
    client.put(path, {"token": "", "is_active": False, "default_owner_id": None})
    kept = stored(tenant, data["id"])
    assert (kept.token, kept.is_active, kept.default_owner_id) == ("", False, None)
    for answer in (made, client.get("/api/sources"), client.get(path)):
        for secret in (TOKEN, "key-abcdef", "mailgun_key"):
            assert secret not in answer.content.decode()
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "kind"),
        ({"kind": "pigeon", "name": "x"}, "kind"),
        ({"kind": "webhook"}, "name"),
        ({"kind": "facebook", "name": "x", "external_id": "page"}, "external_id"),
        ({"kind": "webhook", "name": "x", "options": {"hourly_limit": 0}}, "options.hourly_limit"),
        ({"kind": "webhook", "name": "x", "options": {"colour": 1}}, "options.colour"),
        ({"kind": "webhook", "name": "x", "options": {"signature": ["x"]}}, "options.signature"),
        ({"kind": "email", "name": "x", "options": {"after_read": "move"}}, "options.move_to"),
        ({"kind": "webhook", "name": "x", "default_owner_id": 999999}, "default_owner_id"),
        ({"kind": "webhook", "name": "x", "tags": ["t" * 51]}, "tags.0"),
    ],
)
def test_wrong_bodies_are_named(tenant, alice, api, body, field):
    answer = api(alice).post("/api/sources", body)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])
    with inside(tenant.pk):
        assert Source.objects.count() == 0


def test_owner_of_next_door_is_nobody(alice, mallory, api):
    answer = api(alice).post("/api/sources", {"kind": "webhook", "name": "x", "default_owner_id": mallory.pk})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["default_owner_id"])


def test_taken_names_and_pages_are_409(tenant, next_door, source, alice, api):
    theirs = make_source(next_door)
    client = api(alice)
    for body, field in (
        ({"name": source.name, "external_id": "1"}, "name"),
        ({"name": "New", "external_id": theirs.external_id}, "external_id"),
    ):
        answer = client.post("/api/sources", {"kind": "facebook", **body})
        assert (answer.status_code, answer.json()["error"]["code"], list(answer.json()["error"]["details"])) == (
            409,
            "SOURCE_TAKEN",
            [field],
        )
    with inside(tenant.pk):
        assert Source.objects.count() == 1


def test_key_and_signing(tenant, source, alice, api):
    fair, client = make_source(tenant, kind="webhook", name="Fair"), api(alice)
    before = client.get(f"/api/sources/{fair.pk}").json()["data"]["address"]
    assert client.post(f"/api/sources/{fair.pk}/rotate-key").json()["data"]["address"] != before
    on = client.post(f"/api/sources/{fair.pk}/signing", {"on": True}).json()["data"]
    assert (on["signing"], on["secret"]) == (True, unseal(stored(tenant, fair.pk).signing_secret))
    assert on["secret"] not in client.get(f"/api/sources/{fair.pk}").content.decode()
    assert client.post(f"/api/sources/{fair.pk}/signing", {"on": False}).json()["data"] == {"signing": False, "secret": None}
    assert list(client.post(f"/api/sources/{fair.pk}/signing").json()["error"]["details"]) == ["on"]
    for action, body in (("rotate-key", {}), ("signing", {"on": True})):
        answer = client.post(f"/api/sources/{source.pk}/{action}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NO_OWN_KEY")


def test_mappings_are_kept_by_form(tenant, source, alice, api):
    client, path = api(alice), f"/api/sources/{source.pk}/mappings"
    assert client.get(path).json()["data"] == []
    assert client.put(path, {"rules": RULES}).json()["data"]["rules"] == KEPT
    client.put(path, {"form_id": "9", "formName": "Book a call", "rules": RULES[:1]})
    found = client.get(path).json()["data"]
    assert [(row["form_id"], row["form_name"], len(row["rules"])) for row in found] == [("", "", 2), ("9", "Book a call", 1)]
    answer = client.put(path, {"rules": [{"field": "owner"}, RULES[0], "x"]})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["rules[0]", "rules[2]"])
    assert list(client.put(path, {}).json()["error"]["details"]) == ["rules"]
    with inside(tenant.pk):
        assert FieldMapping.objects.get(form_id="").rules == KEPT


def test_mapping_is_tried_on_an_arrival_or_a_payload(tenant, source, alice, api):
    arrival = make_arrival(tenant, source)
    client, path = api(alice), f"/api/sources/{source.pk}/mappings/test"
    tried = client.post(path, {"arrival_id": arrival.pk, "rules": RULES}).json()["data"]
    assert (tried["ok"], tried["lead"]["first_name"], tried["lead"]["email"]) == (True, "Pat", "p1@acme.example")
    untold = client.post(path, {"arrival_id": arrival.pk}).json()["data"]
    assert (untold["ok"], list(untold["problems"])) == (False, ["name"])
    payload = form_answers(wer="Zoe Zane")
    assert client.post(path, {"payload": payload, "rules": RULES}).json()["data"]["lead"]["last_name"] == "Zane"
    with inside(tenant.pk):
        assert FieldMapping.objects.count() == 0


def test_payload_is_tried_with_the_mapping_of_the_form_named(tenant, source, admin, api):
    with acting(admin) as by:
        save_mapping(source=source, form_id="9", rules=RULES, by=by)
    path = f"/api/sources/{source.pk}/mappings/test"
    assert api(admin).post(path, {"payload": form_answers(wer="Zoe"), "form_id": "9"}).json()["data"]["lead"]["first_name"] == "Zoe"
    assert api(admin).post(path, {"payload": form_answers(wer="Zoe")}).json()["data"]["ok"] is False


def test_wrong_trials_are_named(tenant, source, alice, api):
    other = make_arrival(tenant, make_source(tenant, kind="webhook", name="Fair"), number=7)
    client, path = api(alice), f"/api/sources/{source.pk}/mappings/test"
    assert list(client.post(path, {}).json()["error"]["details"]) == ["payload"]
    assert list(client.post(path, {"payload": "x"}).json()["error"]["details"]) == ["payload"]
    assert client.post(path, {"arrival_id": other.pk}).status_code == 404
    answer = client.post(path, {"payload": {"a": 1}, "rules": [{"field": "x"}]})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["rules[0]"])


@pytest.mark.parametrize("payload", [{"details": 5}, {"details": {"field_data": [None, {"name": 1}]}}, {"x": [[[]]]}, {"": None}])
def test_odd_payloads_are_no_server_error(source, alice, api, payload):
    answer = api(alice).post(f"/api/sources/{source.pk}/mappings/test", {"payload": payload, "rules": RULES})
    assert (answer.status_code, answer.json()["data"]["ok"]) == (200, False)


def test_reps_and_next_door_are_kept_out(tenant, source, bob, mallory, api):
    base = f"/api/sources/{source.pk}"
    calls = [
        ("GET", base, None), ("PATCH", base, {"name": "x"}), ("PUT", base, {"name": "x"}), ("DELETE", base, None), ("POST", f"{base}/rotate-key", {}),
        ("POST", f"{base}/signing", {"on": True}), ("GET", f"{base}/mappings", None), ("PUT", f"{base}/mappings", {"rules": RULES}),
        ("POST", f"{base}/mappings/test", {"payload": {"a": 1}}),
    ]  # fmt: skip
    for method, path, body in calls:
        assert api(bob).send(method, path, body).status_code == 403, (method, path)
        assert api(mallory).send(method, path, body).status_code == 404, (method, path)
    assert api(bob).get("/api/sources").status_code == 403
    assert api(mallory).get("/api/sources").json()["data"] == []
    assert stored(tenant, source.pk).name == source.name


@pytest.mark.parametrize("count", [1, 30])
def test_list_query_count_is_flat(tenant, alice, api, count, django_assert_max_num_queries):
    for number in range(count):
        found = make_source(tenant, kind="webhook", name=f"Fair {number}")
        make_arrival(tenant, found, number=number, processing_status="failed")
    client = api(alice)
    client.get("/api/sources?limit=50")
    with django_assert_max_num_queries(12):
        rows = client.get("/api/sources?limit=50").json()["data"]
    assert [row["failed_arrivals"] for row in rows] == [1] * count
