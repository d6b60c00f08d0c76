"""The request flow: proof, headers, bodies, refusals."""

from datetime import UTC, datetime

import orjson
import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework import serializers

from crm.errors import NotFound
from crm.identity.services.people import create_api_key
from crm.rest.errors import problem_of
from crm.rest.renderers import dump_json
from crm.rest.serializers import InputSerializer, WordChoiceField, read, snake
from crm.rest.views import parse_id
from leads.models import Lead
from tests.factories import acting, inside, make_lead, make_tenant, make_user
from tests.fixtures import ApiClient

URL = "/api/leads"


@pytest.fixture
def client(alice, api):
    return api(alice)


# --- headers ---


@pytest.mark.parametrize("given", ["req-1", "A.b_c:d-9", "x" * 64])
def test_request_id_is_taken(client, given):
    answer = client.get(URL, HTTP_X_REQUEST_ID=given)
    assert answer.headers["X-Request-ID"] == answer.json()["meta"]["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "<script>", "ü"])
def test_unfit_request_id_is_replaced(client, given):
    answer = client.get(URL, HTTP_X_REQUEST_ID=given)
    made = answer.headers["X-Request-ID"]
    assert made == answer.json()["meta"]["requestId"]
    assert (len(made), made != given) == (32, True)


def test_request_id_stands_in_the_history(client, tenant):
    lead = make_lead(tenant)
    client.put(f"{URL}/{lead.pk}", {"company": "New"}, HTTP_X_REQUEST_ID="req-9")
    with inside(tenant.pk):
        assert lead.history.get().pgh_context["request"] == "req-9"


@pytest.mark.parametrize("version", ["v2", "1", "V1", " "])
def test_other_versions_are_400(client, version):
    answer = client.get(URL, HTTP_X_API_VERSION=version)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-API-Version")
    assert client.get(URL, HTTP_X_API_VERSION="v1").status_code == 200


def test_tenant_header_must_be_ones_own(client, tenant, next_door):
    assert client.get(URL, HTTP_X_TENANT_ID=str(tenant.pk)).status_code == 200
    for other in (str(next_door.pk), "999999999", "abc", "-1", f"0{tenant.pk}"):
        answer = client.get(URL, HTTP_X_TENANT_ID=other)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), other


def test_platform_staff_may_name_any_tenant(api, tenant, next_door):
    staff = make_user(tenant, is_platform_staff=True)
    lead = make_lead(next_door, first_name="Theirs")
    client = api(staff)
    assert client.get(f"{URL}/{lead.pk}").status_code == 404
    assert client.get(f"{URL}/{lead.pk}", HTTP_X_TENANT_ID=str(next_door.pk)).json()["data"]["id"] == lead.pk
    client.put(f"{URL}/{lead.pk}", {"company": "X"}, HTTP_X_TENANT_ID=str(next_door.pk))
    with inside(next_door.pk):
        assert lead.history.get().pgh_context["actor"].endswith("(platform)")
    assert client.get(URL, HTTP_X_TENANT_ID="999999999").status_code == 404
    assert client.get(URL, HTTP_X_TENANT_ID="abc").status_code == 400


# --- proof ---


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Bearer smk_x", "Bearer a.b.c", "Basic eDp5", "bearer  ", "Bearer " + "x" * 5000, "Bearer \x00"]
)
def test_what_proves_nothing_is_401(db, api, header):
    answer = api().get(URL, HTTP_AUTHORIZATION=header)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_token_of_an_ended_session_is_401_at_once(client, alice):
    assert client.get(URL).status_code == 200
    alice.auth_sessions.update(ended_at=alice.created_at)
    assert client.get(URL).status_code == 401


def test_token_of_who_left_and_of_a_closed_tenant_is_401(client, alice, tenant):
    type(tenant).objects.filter(pk=tenant.pk).update(is_active=False)
    assert client.get(URL).status_code == 401
    type(tenant).objects.filter(pk=tenant.pk).update(is_active=True)
    assert client.get(URL).status_code == 200
    with inside(tenant.pk):
        type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get(URL).status_code == 401


def test_api_key_does_what_it_may_and_no_more(alice, api):
    with acting(alice) as by:
        _key, secret = create_api_key(user=alice, name="reader", capabilities=["leads.view_lead", "leads.see_all_leads"], by=by)
    client = api()
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    assert client.get(URL).status_code == 200
    assert client.post(URL, {"name": "X"}).status_code == 403


def test_cookie_needs_the_csrf_token_for_unsafe_methods(alice):
    token = ApiClient(alice).defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    client = ApiClient(enforce_csrf_checks=True)
    client.cookies["token"] = token
    assert client.get(URL).status_code == 200
    assert client.post(URL, {"name": "X"}).status_code in (401, 403)


# --- bodies ---


def test_keys_are_read_in_either_notation(client):
    snake_case = client.post(
        URL, {"first_name": "A", "last_name": "B", "company_size": "11-50", "custom_fields": {"myKey": 1, "other_key": 2}}
    )
    camel_case = client.post(URL, {"firstName": "C", "lastName": "D", "companySize": "11-50", "customFields": {"myKey": 1, "other_key": 2}})
    for answer in (snake_case, camel_case):
        lead = answer.json()["data"]["lead"]
        assert (lead["company_size"], lead["custom_fields"]) == ("11-50", {"myKey": 1, "other_key": 2})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("firstName", "first_name"), ("first_name", "first_name"), ("X", "X"), ("utm2Source", "utm2_source"), ("aBC", "a_bC")],
)
def test_camel_is_turned_to_snake(name, expected):
    assert snake(name) == expected


class Box(InputSerializer):
    colour = WordChoiceField([("not_red", "Not red"), ("blue", "Blue")], synonyms={"azure": "blue"})


@pytest.mark.parametrize("word", ["not_red", "Not Red", "NOT-RED", " not  red "])
def test_choices_are_taken_whatever_the_case_and_the_space(word):
    assert read(Box, {"colour": word}) == {"colour": "not_red"}
    assert read(Box, {"colour": "Azure"}) == {"colour": "blue"}


@pytest.mark.parametrize("word", ["red", "", None, 1, [], {}])
def test_other_choices_are_refused(word):
    with pytest.raises(serializers.ValidationError):
        read(Box, {"colour": word})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["name", "firstName", "email", "phone", "company", "status", "priority", "tags", "assigned_to", "assignedUserId", "address", "custom_fields", "notes", "raw_field_data",
     "conversion_probability", "next_follow_up", "consent_time", "lead_source", "platform_key", "ignore_duplicates", "lost_reason", "last_contact"]
)  # fmt: skip


@pytest.mark.slow
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(body=st.dictionaries(KEYS, VALUES, max_size=5) | VALUES, change=st.booleans())
def test_no_body_is_a_server_error(client, tenant, body, change):
    lead = make_lead(tenant)
    answer = client.send("PUT" if change else "POST", f"{URL}/{lead.pk}" if change else URL, orjson.dumps(body))
    assert answer.status_code in (200, 201, 400, 403, 409), answer.content
    if answer.status_code == 400:
        assert answer.json()["errors"][0]["message"]
        with inside(tenant.pk):
            assert Lead.objects.get(pk=lead.pk).updated_at == lead.updated_at


@pytest.mark.slow
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(
    query=st.dictionaries(
        st.sampled_from(
            [
                "status",
                "priority",
                "search",
                "tags",
                "score_min",
                "created_after",
                "assigned_to",
                "cursor",
                "offset",
                "limit",
                "page",
                "sort_by",
                "sort_order",
                "industry",
            ]
        ),
        st.text(max_size=40) | st.sampled_from(["me", "none", "new", "1", "score", "asc", "2024-01-31"]),
        max_size=4,
    )
)
def test_no_query_is_a_server_error(client, query):
    answer = client.get(URL, query)
    assert answer.status_code in (200, 400), answer.content
    if answer.status_code == 400:
        assert {error["field"] for error in answer.json()["errors"]} <= set(query)


def test_body_that_is_too_large_is_413(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = client.post(URL, {"name": "x" * 200})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


# --- pieces ---


@pytest.mark.parametrize(("text", "number"), [("7", 7), (" 7 ", 7), ("0", 0)])
def test_id_is_read(text, number):
    assert parse_id(text) == number


def test_id_that_no_row_can_have_is_not_found():
    with pytest.raises(NotFound):
        parse_id("9" * 19)


def test_busy_database_is_503_with_a_pause():
    problem = problem_of(OperationalError("lock timeout"))
    assert (problem.status, problem.code, problem.headers) == (503, "TEMPORARILY_UNAVAILABLE", {"Retry-After": "5"})


def test_times_are_answered_in_utc_with_a_z(tenant, alice, api):
    moment = datetime(2024, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)
    assert dump_json({"at": moment, 1: "one"}) == b'{"at":"2024-01-31T09:00:00Z","1":"one"}'
    lead = make_lead(tenant)
    answer = api(alice).put(f"{URL}/{lead.pk}", {"next_follow_up": "2024-01-31T09:00:00+02:00"})
    assert answer.json()["data"]["lead"]["next_follow_up"] == "2024-01-31T07:00:00Z"


def test_refused_request_leaves_nothing_behind(client, tenant, bob):
    """The tags of a refused change are not remembered either: one transaction a request."""
    from leads.models import Tag

    lead = make_lead(tenant)
    assert client.put(f"{URL}/{lead.pk}", {"tags": ["fresh"], "status": "won"}).status_code == 409
    with inside(tenant.pk):
        assert not Tag.objects.exists()
    assert make_tenant().pk
