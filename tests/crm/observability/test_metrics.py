import pytest

from crm.observability.metrics import may_read_metrics, metrics


@pytest.mark.parametrize(
    ("address", "headers", "allowed"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.0.0.7", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, False),
    ],
)
def test_without_a_token_only_this_machine_may_read(rf, monkeypatch, address, headers, allowed):
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    assert may_read_metrics(rf.get("/metrics", REMOTE_ADDR=address, headers=headers)) is allowed


@pytest.mark.parametrize(
    ("header", "allowed"), [(None, False), ("Bearer wrong", False), ("Bearer ", False), ("Bearer s3cret", True), ("Bearer s3crét", False)]
)
def test_with_a_token_only_its_holder_may_read(rf, monkeypatch, header, allowed):
    monkeypatch.setenv("METRICS_TOKEN", "s3cret")
    headers = {} if header is None else {"Authorization": header}
    assert may_read_metrics(rf.get("/metrics", REMOTE_ADDR="127.0.0.1", headers=headers)) is allowed


def test_metrics_are_prometheus_text(rf, monkeypatch):
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    answer = metrics(rf.get("/metrics", REMOTE_ADDR="127.0.0.1"))
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"# TYPE" in answer.content


def test_refusal_says_what_is_missing(rf, monkeypatch):
    monkeypatch.setenv("METRICS_TOKEN", "s3cret")
    answer = metrics(rf.get("/metrics"))
    assert (answer.status_code, b"METRICS_TOKEN" in answer.content) == (403, True)
