"""Facebook's webhook (S1-52, S1-53): its check of the address, signatures, and what a delivery leaves behind."""

import threading

import orjson
import pytest
from django.db import OperationalError, connection, connections
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.tenancy.models import Tenant
from leads.models import Arrival, Lead
from tests.factories import inside, make_tenant
from tests.webhooks.facebook_cast import PAGE, SECRET, URL, arrivals, connect_page, delivery, named, send, sign
from webhooks.models import ArrivalJob, Source
from webhooks.services import facebook
from webhooks.services.arrivals import accept_all


@pytest.fixture(autouse=True)
def _app(settings):
    settings.FB_APP_SECRET, settings.FB_VERIFY_TOKEN = SECRET, "verify-me"


@pytest.fixture
def page(tenant) -> Source:
    return connect_page(tenant, PAGE)


# --- the check of the address ---


def test_the_challenge_is_echoed_as_plain_text():
    answer = Client().get(URL, {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "<b>1158201444</b>"})
    assert (answer.status_code, answer.content) == (200, b"<b>1158201444</b>")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/webhooks/facebook/", "/v1/webhooks/facebook"])
def test_the_check_is_answered_at_every_address(path):
    answer = Client().get(path, {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1"}, HTTP_ACCEPT="text/html")
    assert (answer.status_code, answer.content) == (200, b"1")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"hub.mode": "subscribe", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "verify-m", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "Verify-Me", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "é\x00", "hub.challenge": "1"},
        {"hub.mode": "unsubscribe", "hub.verify_token": "verify-me", "hub.challenge": "1"},
        {"hub.verify_token": "verify-me", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "verify-me"},
        {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1" * 1001},
    ],
)
def test_any_other_check_is_refused_without_an_echo(query):
    answer = Client().get(URL, query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert "challenge" not in answer.content.decode()


@pytest.mark.parametrize("token", ["", "verify-me"])
def test_without_a_verify_token_of_our_own_nothing_is_confirmed(settings, token):
    settings.FB_VERIFY_TOKEN = ""
    assert Client().get(URL, {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1"}).status_code == 403


# --- signatures ---


def test_a_delivery_without_the_right_signature_leaves_nothing(tenant, page):
    body = orjson.dumps(delivery(named()))
    good = sign(body)
    wrong = ["", "sha256=", good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1"), good.removeprefix("sha256="), good.upper()]
    wrong += ["sha1=" + good[7:], good + " ", sign(body, "other"), sign(body + b" "), sign(b""), "sha256=é", "é" * 71, "\x00"]
    for header in wrong:
        answer = send(body, signature=header)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), header
    assert Client().generic("POST", URL, body, content_type="application/json").status_code == 403
    assert (arrivals(tenant), ArrivalJob.objects.count()) == ([], 0)
    assert send(body, signature=good).status_code == 200
    assert len(arrivals(tenant)) == 1


def test_without_an_app_secret_nothing_is_taken(tenant, page, settings):
    settings.FB_APP_SECRET = ""
    body = orjson.dumps(delivery(named()))
    assert send(body, signature=sign(body, "")).status_code == 403
    assert arrivals(tenant) == []


def test_the_signature_is_checked_over_the_bytes_before_they_are_read():
    assert send(b"{ no json", signature="sha256=0").status_code == 403
    assert send(b"\xff\xfe", signature="").status_code == 403
    spaced = b'{ "object" : "page" ,\n "entry" : [] }'
    assert send(spaced).status_code == 200


# --- what is stored ---


def test_the_documented_example_is_stored_durably_with_a_job(tenant, page):
    answer = send(delivery(named()))
    (arrival,) = arrivals(tenant)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (arrival.door, arrival.door_id, arrival.platform_key, arrival.source_lead_id) == ("facebook", page.pk, "facebook", "444")
    assert (arrival.page_id, arrival.form_id, arrival.ad_id, arrival.campaign_id) == (PAGE, "7", "8", "9")
    assert (arrival.created_time.isoformat(), arrival.processing_status) == ("2024-06-10T15:23:10+00:00", "received")
    assert arrival.payload == {"leadgen": named()["value"], "entry": {"id": PAGE, "time": 1718033000000}}
    assert list(ArrivalJob.objects.values_list("tenant_id", "arrival_id")) == [(tenant.pk, arrival.pk)]
    with inside(tenant.pk):
        assert not Lead.objects.exists()


def test_storing_needs_neither_broker_nor_graph(committed_db, monkeypatch, settings):
    tenant = make_tenant("cut-off")
    connect_page(tenant, PAGE)
    settings.FB_GRAPH_URL = "http://127.0.0.1:1"

    def away(*_args, **_kwargs):
        raise ConnectionError("no broker")

    monkeypatch.setattr("crm.events.nudge.client", away)
    assert send(delivery(named())).status_code == 200
    connections.close_all()
    assert [arrival.source_lead_id for arrival in arrivals(tenant)] == ["444"]


def test_a_stored_delivery_wakes_a_worker_once_it_is_committed(committed_db, monkeypatch):
    tenant = make_tenant("awake")
    connect_page(tenant, PAGE)
    woken = []
    monkeypatch.setattr("webhooks.services.arrivals.nudge.once", lambda name: woken.append((name, connection.in_atomic_block)))
    send(delivery(named()))
    send(delivery(named()))
    assert woken == [("webhooks.process_due", False)]


def test_many_entries_and_changes_are_told_apart(tenant, next_door, page):
    connect_page(tenant, "222", name="Second")
    connect_page(next_door, "333")
    several = {"object": "page", "entry": []}
    for page_id, ids in ((PAGE, ["1", "2"]), ("222", ["3"]), ("333", ["4", "5"]), (PAGE, ["6"])):
        several["entry"] += delivery(*(named(lead, page_id=page_id) for lead in ids), page_id=page_id)["entry"]
    assert send(several).status_code == 200
    assert {(row.source_lead_id, row.page_id) for row in arrivals(tenant)} == {("1", PAGE), ("2", PAGE), ("3", "222"), ("6", PAGE)}
    assert {(row.source_lead_id, row.page_id) for row in arrivals(next_door)} == {("4", "333"), ("5", "333")}
    assert sorted(ArrivalJob.objects.values_list("tenant_id", flat=True)) == sorted([tenant.pk] * 4 + [next_door.pk] * 2)


def test_a_lead_named_again_is_one_arrival(tenant, page):
    assert send(delivery(named("1"), named("1", ad_id="other"), named("2"))).status_code == 200
    assert send(delivery(named("2"), named("3"))).status_code == 200
    assert send(delivery(named("1"))).status_code == 200
    assert [(row.source_lead_id, row.ad_id) for row in arrivals(tenant)] == [("1", "8"), ("2", "8"), ("3", "8")]
    assert ArrivalJob.objects.count() == 3


def test_a_lead_that_was_read_gets_no_job_when_it_is_named_again(tenant, page):
    send(delivery(named("1")))
    with inside(tenant.pk):
        Arrival.objects.update(processing_status="processed")
    ArrivalJob.objects.all().delete()
    send(delivery(named("1"), named("2")))
    (_first, second) = arrivals(tenant)
    assert list(ArrivalJob.objects.values_list("arrival_id", flat=True)) == [second.pk]


def test_two_tenants_may_hold_the_same_lead_id(tenant, next_door, page):
    connect_page(next_door, "333")
    send(delivery(named("1")))
    send(delivery(named("1", page_id="333"), page_id="333"))
    assert (len(arrivals(tenant)), len(arrivals(next_door))) == (1, 1)


# --- whose a page is ---


def passed_over(reason: str) -> float:
    return facebook.passed_over.labels(reason)._value.get()


def test_a_page_nobody_connected_is_told_in_the_log_and_answered_well(tenant, page, caplog):
    before = passed_over("unknown_page")
    assert send(delivery(named("1", page_id="999"), named("2", page_id="999"), page_id="999")).status_code == 200
    assert arrivals(tenant) == []
    assert passed_over("unknown_page") - before == 2


def test_a_page_that_is_switched_off_is_passed_over_and_the_others_are_not(tenant, page):
    off = connect_page(tenant, "222", is_active=False)
    before = passed_over("source_off")
    both = delivery(named("1"))
    both["entry"] += delivery(named("2", page_id=off.external_id), page_id=off.external_id)["entry"]
    assert send(both).status_code == 200
    assert [row.source_lead_id for row in arrivals(tenant)] == ["1"]
    assert passed_over("source_off") - before == 1


def test_a_tenant_that_was_closed_gets_nothing(tenant, page):
    Tenant.objects.filter(pk=tenant.pk).update(is_active=False)
    assert send(delivery(named())).status_code == 200
    assert (arrivals(tenant), ArrivalJob.objects.count()) == ([], 0)


def test_a_change_at_odds_with_its_entry_about_the_page_goes_to_neither(tenant, next_door, page):
    connect_page(next_door, "333")
    assert send(delivery(named("1", page_id="333"), page_id=PAGE)).status_code == 200
    assert (arrivals(tenant), arrivals(next_door)) == ([], [])


def test_one_tenant_that_cannot_be_stored_does_not_keep_others_from_theirs(committed_db, monkeypatch):
    broken, whole = make_tenant("broken"), make_tenant("whole")
    connect_page(broken, "111")
    connect_page(whole, "222")

    def store(arrivals):
        if arrivals[0].page_id == "111":
            raise OperationalError("locked")
        return accept_all(arrivals)

    monkeypatch.setattr(facebook, "accept_all", store)
    both = delivery(named("1", page_id="111"), page_id="111")
    both["entry"] += delivery(named("2", page_id="222"), page_id="222")["entry"]
    assert send(both).status_code == 503
    assert (len(arrivals(broken)), len(arrivals(whole))) == (0, 1)


# --- what Facebook does not send ---


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {"leadgen_id": None},
        {"leadgen_id": ""},
        {"leadgen_id": True},
        {"leadgen_id": 1.5},
        {"leadgen_id": "1/../me"},
        {"leadgen_id": "1" * 65},
        {"leadgen_id": ["1"]},
        {"leadgen_id": {"a": 1}},
        {"leadgen_id": "1\x00"},
        {"leadgen_id": "²"},
        {"leadgen_id": 10**25},
    ],
)
def test_a_malformed_change_among_good_ones_is_passed_over(tenant, page, value):
    import json

    before = passed_over("malformed")
    body = delivery(named("1"), {"field": "leadgen", "value": value}, named("2"))
    assert send(json.dumps(body).encode()).status_code == 200
    assert [row.source_lead_id for row in arrivals(tenant)] == ["1", "2"]
    assert passed_over("malformed") - before == 1


def test_ids_may_be_numbers_and_times_nonsense(tenant, page):
    changes = [
        named(555, page_id=int(PAGE), form_id=77, ad_id=None, campaign_id={"a": 1}, created_time="soon"),
        named("556", created_time=10**18),
        named("557", created_time="1718032990"),
        named("558", created_time=-5, form_id="x" * 500, note="a\x00b"),
        named("559", created_time=[1]),
    ]
    assert send(delivery(*changes, page_id=int(PAGE))).status_code == 200
    rows = arrivals(tenant)
    assert [(row.source_lead_id, row.form_id, row.ad_id, row.campaign_id) for row in rows] == [
        ("555", "77", "", ""),
        ("556", "7", "8", "9"),
        ("557", "7", "8", "9"),
        ("558", "", "8", "9"),
        ("559", "7", "8", "9"),
    ]
    assert [row.created_time and row.created_time.year for row in rows] == [None, None, 2024, None, None]
    assert rows[3].payload["leadgen"]["note"] == "ab"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        "page",
        {"object": "user", "entry": [{"id": PAGE, "changes": [named()]}]},
        {"object": "page"},
        {"object": "page", "entry": {"id": PAGE}},
        {"object": "page", "entry": [None, 1, "x", {"id": PAGE, "messaging": []}]},
        {"object": "page", "entry": [{"id": PAGE, "changes": [{"field": "feed", "value": {"leadgen_id": "1"}}, None, {}]}]},
    ],
)
def test_what_is_not_about_leads_is_acknowledged_and_ignored(tenant, page, payload):
    answer = send(orjson.dumps(payload))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert arrivals(tenant) == []


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a": NaN}', b"[" * 2000, b'{"a":' * 70 + b"1" + b"}" * 70])
def test_a_signed_body_that_is_no_json_is_400(db, body):
    answer = send(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_a_body_that_is_too_large_is_413_before_it_is_read(db, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = send(b" " * 101)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(db, method):
    assert Client().generic(method, URL).status_code == 405


def test_an_address_sends_only_so_many_a_minute(db, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "webhook": 2}
    codes = [send(delivery(), REMOTE_ADDR="192.0.2.91").status_code for _ in range(3)]
    assert codes == [200, 200, 429]


# --- much at once ---


@pytest.mark.parametrize("count", [1, 1000])
def test_a_delivery_takes_as_many_queries_for_one_lead_as_for_a_thousand(tenant, page, count, django_assert_num_queries):
    body = orjson.dumps(delivery(*(named(str(number)) for number in range(count))))
    # Whose pages; savepoint, scope, active sources, known ones, insert, their ids, jobs, scope back, savepoint.
    with django_assert_num_queries(10):
        assert send(body).status_code == 200
    assert (len(arrivals(tenant)), ArrivalJob.objects.count()) == (count, count)


def test_deliveries_of_the_same_leads_at_once_make_each_once(committed_db):
    tenant = make_tenant("busy")
    connect_page(tenant, PAGE)
    ids = [str(number) for number in range(60)]
    codes, ready = [], threading.Barrier(4)

    def deliver(order):
        try:
            ready.wait()
            codes.append(send(delivery(*(named(lead) for lead in order))).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=deliver, args=(ids[turn:] + ids[:turn],)) for turn in (0, 15, 30, 45)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 4
    assert sorted(row.source_lead_id for row in arrivals(tenant)) == sorted(ids)
    assert ArrivalJob.objects.count() == 60


# --- whatever else is sent ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
IDS = st.sampled_from([PAGE, int(PAGE), "1", "\x00", "9" * 64, 0, -1, True]) | JSON
VALUES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("leadgen_id", "page_id", "form_id", "ad_id", "campaign_id", "created_time", "extra"), IDS)
)
CHANGES = st.fixed_dictionaries({}, optional={"field": st.just("leadgen") | JSON, "value": VALUES | JSON})
ENTRIES = st.fixed_dictionaries({}, optional={"id": IDS, "time": JSON, "changes": st.lists(CHANGES | JSON, max_size=4) | JSON})
DELIVERIES = st.fixed_dictionaries({}, optional={"object": st.just("page") | JSON, "entry": st.lists(ENTRIES | JSON, max_size=3) | JSON})


@pytest.mark.slow
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(payload=DELIVERIES | JSON)
def test_no_signed_json_is_a_server_error(tenant, page, payload):
    import json

    answer = send(json.dumps(payload).encode())
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"success": True}
    assert {row.door_id for row in arrivals(tenant)} <= {page.pk}
