"""The website webhook (S1-54)."""

import hashlib
import hmac
import time
from urllib.parse import urlencode

import orjson
import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.tenancy.models import Tenant
from leads.models import Arrival, FormKey, Lead, WebForm
from leads.services.forms import delete_form, rotate_key, set_signing
from tests.factories import acting, inside, make_form, make_lead

URL = "/api/webhooks/website"


def example(tenant: Tenant, **more) -> dict:
    return {
        "platform": "website",
        "entity_id": tenant.pk,
        "page_url": "https://example.com/landing-page",
        "page_id": "landing_page_001",
        "utm": {"source": "google", "medium": "cpc", "campaign": "summer_sale"},
        "answers": {"email": "user@example.com", "phone": "+15551234567", "first_name": "John", "last_name": "Doe"},
        **more,
    }


def send(payload, **headers):
    content = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return Client().generic("POST", URL, content, content_type="application/json", **headers)


@pytest.fixture
def open_tenant(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(open_form=True)
    return tenant


@pytest.fixture
def form(tenant):
    return make_form(tenant, lead_source="Event", tags=["fair"], allowed_origins=["https://www.example.com"])


def key_of(form: WebForm) -> dict[str, str]:
    return {"HTTP_X_FORM_KEY": FormKey.objects.get(form_id=form.pk).key}


def leads(tenant) -> list[Lead]:
    with inside(tenant.pk):
        return list(Lead.objects.select_related("status"))


def arrivals(tenant) -> list[Arrival]:
    with inside(tenant.pk):
        return list(Arrival.objects.all())


def test_the_documented_example_literally(open_tenant):
    answer = send(example(open_tenant))
    (lead,), (arrival,) = leads(open_tenant), arrivals(open_tenant)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "lead_id": lead.pk, "message": "Lead received successfully"})
    assert (lead.full_name, lead.email, lead.phone) == ("John Doe", "user@example.com", "+15551234567")
    assert (lead.platform_key, lead.lead_source, lead.source_page_id, lead.created_via) == (
        "website",
        "Website",
        "landing_page_001",
        "webhook",
    )
    assert (arrival.lead_id, arrival.page_url, arrival.page_id) == (lead.pk, "https://example.com/landing-page", "landing_page_001")
    assert (arrival.utm_source, arrival.utm_medium, arrival.utm_campaign) == ("google", "cpc", "summer_sale")
    assert arrival.payload["answers"]["first_name"] == "John"


def test_double_click_makes_one_arrival_and_a_second_visit_joins_the_lead(open_tenant):
    first = send(example(open_tenant)).json()["lead_id"]
    assert send(example(open_tenant)).json()["lead_id"] == first
    assert len(arrivals(open_tenant)) == 1
    assert send(example(open_tenant, page_url="https://example.com/other")).json()["lead_id"] == first
    assert (len(leads(open_tenant)), len(arrivals(open_tenant))) == (1, 2)


@pytest.mark.parametrize("how", [{"HTTP_IDEMPOTENCY_KEY": "k-1"}, {"source_lead_id": "k-1"}, {"idempotency_key": "k-1"}])
def test_idempotency_key_makes_a_repeat_the_same_submission(open_tenant, how):
    headers = {name: value for name, value in how.items() if name.startswith("HTTP_")}
    fields = {name: value for name, value in how.items() if name not in headers}
    first = send(example(open_tenant, **fields), **headers)
    again = send(example(open_tenant, answers={"email": "changed@example.com"}, **fields), **headers)
    assert first.json() == again.json()
    assert len(leads(open_tenant)) == 1


def test_closed_and_unknown_tenants_are_alike(tenant, open_tenant, next_door):
    make_lead(next_door)
    answers = [send({**example(open_tenant), "entity_id": number}) for number in (next_door.pk, 10**9, -1, 0)]
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(404, "UNKNOWN_FORM")}
    assert len({answer.json()["message"] for answer in answers}) == 1


def test_form_key_names_the_tenant_and_gives_its_leads_their_start(tenant, form, bob):
    with acting(bob):
        WebForm.objects.filter(pk=form.pk).update(default_owner=bob)
    answer = send({"answers": {"Your name": "Jane Roe", "E-mail": "jane@acme.example", "Shoe size": 42, "status": "won"}}, **key_of(form))
    (lead,) = leads(tenant)
    assert answer.json()["lead_id"] == lead.pk
    assert (lead.full_name, lead.lead_source, lead.tags, lead.owner_id, lead.status.code) == ("Jane Roe", "Event", ["fair"], bob.pk, "new")
    assert lead.custom_fields == {"Shoe size": "42", "status": "won"}
    assert arrivals(tenant)[0].form_id == str(form.pk)


def test_form_key_beats_an_entity_named_beside_it(tenant, form, open_tenant, next_door):
    Tenant.objects.filter(pk=next_door.pk).update(open_form=True)
    send(example(next_door), **key_of(form))
    assert (len(leads(tenant)), len(leads(next_door))) == (1, 0)


def test_unknown_rotated_and_deleted_keys_are_refused(tenant, form, alice):
    old = key_of(form)
    assert send(example(tenant), HTTP_X_FORM_KEY="smf_none").status_code == 404
    with acting(alice) as by:
        rotate_key(form=form, by=by)
    assert send(example(tenant), **old).status_code == 404
    new = key_of(form)
    assert send(example(tenant), **new).status_code == 200
    with acting(alice) as by:
        delete_form(form=form, by=by)
    assert send(example(tenant), **new).status_code == 404


def test_form_switched_off_is_refused(tenant, form):
    with inside(tenant.pk):
        WebForm.objects.filter(pk=form.pk).update(is_active=False)
    assert send(example(tenant), **key_of(form)).status_code == 403
    assert leads(tenant) == []


def test_robot_that_fills_in_the_honeypot_is_told_all_went_well(open_tenant):
    answer = send(example(open_tenant, answers={"email": "bot@example.com", "_gotcha": "x"}))
    assert (answer.status_code, answer.json()["success"], answer.json()["lead_id"]) == (200, True, None)
    assert (leads(open_tenant), arrivals(open_tenant)) == ([], [])


# --- browsers ---


@pytest.mark.parametrize(("origin", "status"), [("https://www.example.com", 200), ("https://evil.example", 403), ("null", 403), ("", 200)])
def test_only_allowed_sites_may_post(tenant, form, origin, status):
    answer = send(example(tenant), **key_of(form), HTTP_ORIGIN=origin)
    assert answer.status_code == status
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if status == 200 and origin else None)


def test_preflight_names_what_may_be_sent(tenant, form):
    answer = Client().options(URL, HTTP_ORIGIN="https://www.example.com", HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    assert answer.status_code in (200, 204)
    assert "X-Form-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_ordinary_form_post_leads_the_visitor_on(tenant, form):
    with inside(tenant.pk):
        WebForm.objects.filter(pk=form.pk).update(redirect_url="https://www.example.com/thanks")
    fields = {
        "name": "Jane Roe",
        "email": "jane@acme.example",
        "utm_source": "news",
        "form_key": key_of(form)["HTTP_X_FORM_KEY"],
        "consent": "on",
    }
    answer = Client().post(
        URL, urlencode(fields), content_type="application/x-www-form-urlencoded", HTTP_REFERER="https://www.example.com/p"
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "https://www.example.com/thanks")
    (lead,), (arrival,) = leads(tenant), arrivals(tenant)
    assert (lead.full_name, lead.consent_time is not None, arrival.utm_source, arrival.page_url) == (
        "Jane Roe",
        True,
        "news",
        "https://www.example.com/p",
    )


def test_multipart_form_post_is_read_too(tenant, form):
    assert Client().post(URL + "?form_key=" + key_of(form)["HTTP_X_FORM_KEY"], {"email": "m@acme.example"}).status_code == 200
    assert leads(tenant)[0].email == "m@acme.example"


# --- signatures and limits ---


def signed(secret: str, body: bytes, at: float) -> str:
    stamp = str(int(at))
    return f"t={stamp},v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def test_signature_is_asked_for_once_switched_on(tenant, form, alice):
    with acting(alice) as by:
        secret = set_signing(form=form, on=True, by=by)
    body, key = orjson.dumps(example(tenant)), key_of(form)
    good = signed(secret, body, time.time())
    for header in (
        "",
        "nonsense",
        "t=,v1=",
        good[:-1] + "0",
        signed(secret, body + b" ", time.time()),
        signed(secret, body, time.time() - 400),
    ):
        if header != good:
            assert send(body, **key, HTTP_X_SIGNATURE=header).status_code == 403, header
    assert leads(tenant) == []
    assert send(body, **key, HTTP_X_SIGNATURE=good).status_code == 200


def test_form_takes_only_so_many_an_hour(tenant, form, rate_limits):
    with inside(tenant.pk):
        WebForm.objects.filter(pk=form.pk).update(hourly_limit=2)
    key = key_of(form)
    codes = [
        send(example(tenant, page_url=f"https://example.com/{number}"), **key, REMOTE_ADDR="192.0.2.77").status_code for number in range(4)
    ]
    assert codes == [200, 200, 429, 429]


def test_address_takes_only_so_many_a_minute(open_tenant, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "webhook": 2}
    answers = [send(example(open_tenant, page_url=f"https://example.com/{number}"), REMOTE_ADDR="192.0.2.78") for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


# --- whatever else is sent ---

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["name", "email", "phone", "company", "first_name", "notes", "custom", "_gotcha", "consent", "tags", ""])
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "platform": st.just("website") | JSON,
        "entity_id": JSON,
        "page_url": JSON,
        "page_id": JSON,
        "utm": JSON | st.dictionaries(st.sampled_from(["source", "medium", "campaign", "term", "content"]), JSON),
        "answers": JSON | st.dictionaries(FIELDS, JSON, max_size=6),
        "source_lead_id": JSON,
        "form_key": JSON,
        "idempotency_key": JSON,
    },
)


@pytest.mark.slow
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(payload=PAYLOADS | JSON, keyed=st.booleans())
def test_no_payload_is_a_server_error(open_tenant, form, payload, keyed):
    if keyed and isinstance(payload, dict):
        payload.pop("form_key", None)
    headers = key_of(form) if keyed else {}
    if not keyed and isinstance(payload, dict) and "entity_id" not in payload:
        payload["entity_id"] = open_tenant.pk
    try:
        content = orjson.dumps(payload)
    except TypeError:
        import json

        content = json.dumps(payload).encode()
    answer = send(content, **headers)
    assert answer.status_code in (200, 400, 404), answer.content
    if answer.status_code != 200:
        assert answer.json()["success"] is False


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}", b'{"answers": {}}', b'{"answers": []}', b"[" * 2000]
)
def test_broken_bodies_are_400(tenant, form, content):
    answer = send(content, **key_of(form))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_anonymous_answers_without_anything_to_know_somebody_by_are_400(tenant, form):
    answer = send({"answers": {"colour": "red"}}, **key_of(form))
    assert answer.status_code == 400
    assert leads(tenant) == []
