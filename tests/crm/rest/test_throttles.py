"""Rate limits: exact under load, told to the caller, open when the store is away."""

import threading
import time

import pytest
import structlog
from redis.exceptions import ConnectionError as StoreAway

from crm.errors import TooManyRequests
from crm.rest import throttles
from crm.rest.throttles import Limit, caller_limits, spend
from crm.rest.views import client_ip
from tests.factories import make_user


def limit(key: str, calls: int = 3, seconds: int = 3600) -> Limit:
    return Limit(key=f"test:{key}:{time.monotonic_ns()}", calls=calls, seconds=seconds)


def test_calls_are_counted_and_the_next_one_refused_with_the_wait(rate_limits):
    once = limit("a")
    for _ in range(3):
        spend([once])
    with pytest.raises(TooManyRequests) as refusal:
        spend([once])
    assert 0 < refusal.value.retry_after <= 3600
    assert refusal.value.details == {"retry_after": refusal.value.retry_after}


def test_tighter_of_two_limits_answers_and_refused_calls_cost_nothing(rate_limits):
    wide, tight = limit("wide", calls=10), limit("tight", calls=1)
    spend([wide, tight])
    for _ in range(5):
        with pytest.raises(TooManyRequests):
            spend([wide, tight])
    for _ in range(9):
        spend([wide])
    with pytest.raises(TooManyRequests):
        spend([wide])


def test_callers_do_not_share_a_limit(rate_limits):
    one, other = limit("one", calls=1), limit("other", calls=1)
    spend([one])
    spend([other])


def test_window_begins_anew(rate_limits):
    short = limit("short", calls=1, seconds=1)
    time.sleep(1 - time.time() % 1)
    spend([short])
    with pytest.raises(TooManyRequests):
        spend([short])
    time.sleep(1.02 - time.time() % 1)
    spend([short])


@pytest.mark.slow
def test_twenty_at_once_get_exactly_what_there_is(rate_limits):
    shared = limit("shared", calls=50)
    taken, refused, barrier = [], [], threading.Barrier(20)

    def work():
        barrier.wait()
        for _ in range(5):
            try:
                spend([shared])
            except TooManyRequests:
                refused.append(1)
            else:
                taken.append(1)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (50, 50)


def test_limits_fail_open_and_say_so(rate_limits, monkeypatch):
    class Away:
        def eval(self, *_):
            raise StoreAway("away")

    monkeypatch.setattr(throttles, "client", Away)
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            spend([limit("a", calls=1)])
    assert {entry["event"] for entry in logs} == {"rate_limits_open"}


def test_limits_can_be_switched_off(settings):
    settings.RATE_LIMITS_ON = False
    once = limit("a", calls=1)
    for _ in range(3):
        spend([once])


def test_bulk_work_has_its_own_hour(settings):
    kinds = {
        kind: [item.seconds for item in caller_limits(caller="u", rate_class="standard", kind=kind)]
        for kind in ("standard", "bulk", "export", "analytics")
    }
    assert kinds == {"standard": [60, 3600], "bulk": [60, 3600, 3600], "export": [60, 3600], "analytics": [60, 3600]}
    calls = {name: caller_limits(caller="u", rate_class=name, kind="standard")[1].calls for name in ("standard", "premium", "api")}
    assert calls == {"standard": 1000, "premium": 5000, "api": 10_000}


def test_caller_over_the_limit_gets_429_with_retry_after(api, tenant, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "standard": 2}
    client, other = api(make_user(tenant)), api(make_user(tenant))
    answers = [client.get("/api/leads/counts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    body = answers[2].json()
    assert body["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert int(answers[2].headers["Retry-After"]) == body["error"]["details"]["retry_after"] > 0
    assert other.get("/api/leads/counts").status_code == 200


def test_sign_in_is_limited_by_address(api, db, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "sign_in": 1}
    body = {"email": "nobody@acme.example", "password": "x"}
    codes = [api().post("/api/auth/login", body, REMOTE_ADDR=address).status_code for address in ("192.0.2.8", "192.0.2.8", "192.0.2.9")]
    assert codes == [401, 429, 401]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_address_is_what_the_trusted_proxies_saw(rf, settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    assert client_ip(rf.get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)) == address
