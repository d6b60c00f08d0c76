"""Fuzzing by the description of document 2's surface: whatever is sent, nothing answers with a fault of ours, and refusals are details."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from tests.contract.test_fuzz import body_of
from tests.dialer.api_parts import make_agent, make_call, make_entry
from tests.factories import make_user

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "api" / "dialer.yaml"
schema = schemathesis.openapi.from_path(str(DESCRIPTION))


@pytest.fixture
def client(tenant, api):
    make_call(make_entry(make_agent(tenant), first_name="Fuzzed"))
    fuzzer = api(make_user(tenant, role="admin"))
    fuzzer.raise_request_exception = False
    return fuzzer


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_operation_fails_whatever_it_is_sent(case, client):
    content, kind = body_of(case)
    query = urlencode(case.query or {}, doseq=True, errors="replace")
    answer = client.generic(case.method, f"/api/v1{case.formatted_path}", content, content_type=kind, QUERY_STRING=query)
    assert answer.status_code < 500, f"{case.method} {case.formatted_path}?{query} {content[:300]!r}: {answer.content[:300]!r}"
    if answer.status_code >= 400:
        assert set(answer.json()) == {"detail"}
    if answer.status_code == 422:
        assert all(set(fault) == {"loc", "msg", "type"} for fault in answer.json()["detail"])
