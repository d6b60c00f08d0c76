import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator

import pytest
import structlog

from crm.observability.logging import logging_config

Output = Callable[[], str]


@pytest.fixture(params=["json", "console"])
def fmt(request) -> str:
    return request.param


@pytest.fixture
def output(fmt) -> Iterator[Output]:
    """Logs as configured, into a string."""
    before = structlog.get_config()
    stream = io.StringIO()
    config = logging_config(fmt=fmt, level="info")
    config["handlers"]["console"]["stream"] = stream
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.config.dictConfig(config)
    yield stream.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("fmt", ["json"], indirect=True)
def test_both_kinds_of_loggers_name_request_and_tenant(output):
    with structlog.contextvars.bound_contextvars(request_id="r-1", tenant_id=7):
        structlog.get_logger("crm.probe").warning("happened", count=3)
        logging.getLogger("some.library").warning("happened %s", "too")
    first, second = (json.loads(line) for line in output().splitlines())
    assert {key: first[key] for key in ("event", "count", "request_id", "tenant_id", "level", "logger")} == {
        "event": "happened",
        "count": 3,
        "request_id": "r-1",
        "tenant_id": 7,
        "level": "warning",
        "logger": "crm.probe",
    }
    assert (second["event"], second["request_id"], second["tenant_id"]) == ("happened too", "r-1", 7)
    assert first["timestamp"].endswith("Z")


def test_secrets_are_blanked(output):
    structlog.get_logger("crm.probe").warning("signed_in", password="open sesame", refresh_token="t0ken", user=4)
    logging.getLogger("some.library").warning("called", extra={"Authorization": "Bearer t0ken"})
    assert "sesame" not in output()
    assert "t0ken" not in output()
    assert "4" in output()


@pytest.mark.parametrize("fmt", ["json"], indirect=True)
def test_an_error_is_one_line_with_its_place(output):
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("crm.probe").exception("failed")
    line = json.loads(output())
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_probes_are_not_logged_while_all_is_well(output):
    access = logging.getLogger("gunicorn.access")
    for path, status in (("/health/ready", 200), ("/health/ready", 503), ("/metrics", 200), ("/leads", 200)):
        access.info("%(U)s answered %(s)s", {"U": path, "s": str(status)})
    text = output()
    assert ("/health/ready answered 503" in text, "/leads answered 200" in text) == (True, True)
    assert ("/health/ready answered 200" in text, "/metrics" in text) == (False, False)


def test_chatter_is_dropped(output):
    logging.getLogger("celery.app.trace").info("Task succeeded")
    logging.getLogger("django.request").warning("Not Found: /nothing")
    assert output() == ""
