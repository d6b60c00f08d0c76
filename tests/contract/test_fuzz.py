"""Fuzzing by the API's own description: whatever is sent to any operation, none answers with a fault of ours."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
import schemathesis
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import HealthCheck, Phase, settings

from tests.factories import make_lead, make_user

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "api" / "openapi.yaml"
# The first end the very sign-in that requests are made with; mails are no JSON, and their door has property tests of its own.
LEFT_OUT = ("/auth/logout", "/auth/sessions", "/webhooks/email")

schema = schemathesis.openapi.from_path(str(DESCRIPTION)).exclude(path_regex="|".join(LEFT_OUT))


@pytest.fixture
def client(tenant, api):
    make_lead(tenant, first_name="Fuzzed")
    fuzzer = api(make_user(tenant, role="admin"))
    fuzzer.raise_request_exception = False
    return fuzzer


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_operation_fails_whatever_it_is_sent(case, client):
    content, kind = body_of(case)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in (case.headers or {}).items()}
    query = urlencode(case.query or {}, doseq=True, errors="replace")
    answer = client.generic(case.method, f"/api{case.formatted_path}", content, content_type=kind, QUERY_STRING=query, **headers)
    assert answer.status_code < 500, f"{case.method} /api{case.formatted_path}?{query} {content[:300]!r}: {answer.content[:300]!r}"


def body_of(case) -> tuple[bytes, str]:
    """What is sent, and as what."""
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        parts = {
            str(name): value if isinstance(value, bytes | str) else json.dumps(value, default=str) for name, value in case.body.items()
        }
        return encode_multipart(BOUNDARY, parts), MULTIPART_CONTENT
    if case.media_type is None or type(case.body).__name__ == "NotSet":
        return b"", "application/json"
    if isinstance(case.body, bytes):
        return case.body, case.media_type
    return json.dumps(case.body, default=str).encode("utf-8", "surrogatepass"), "application/json"
