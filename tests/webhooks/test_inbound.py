"""The generic webhook: any JSON or form posted to a source's secret address."""

import hashlib
import hmac
import time
from urllib.parse import urlencode

import orjson
import pytest
import time_machine
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.actors import Actor
from leads.models import Arrival, Lead
from tests.factories import acting, inside, make_lead
from webhooks.enums import SourceKind
from webhooks.models import ArrivalJob, Source, SourceKey
from webhooks.services import inbound
from webhooks.services.arrivals import process_due, replay_arrival
from webhooks.services.sources import SourceSettings, rotate_key, save_mapping, save_source, set_signing

PERSON = {"contact": {"first_name": "Jane", "last_name": "Roe", "email": "jane@acme.example"}, "budget": 5000, "event": {"id": "e-1"}}


def make_source(tenant, *, kind=SourceKind.WEBHOOK, **settings) -> Source:
    with inside(tenant.pk):
        return save_source(
            kind=kind, source=None, wanted=SourceSettings(**{"name": "Shop", **settings}), by=Actor.system(tenant_id=tenant.pk)
        )


@pytest.fixture
def source(tenant):
    return make_source(tenant)


def url(source: Source, door: str = "in") -> str:
    return f"/api/webhooks/{door}/{SourceKey.objects.get(source_id=source.pk).key}"


def send(source: Source, payload, content_type="application/json", **headers):
    content = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return Client().generic("POST", url(source), content, content_type=content_type, **headers)


def arrivals(tenant) -> list[Arrival]:
    with inside(tenant.pk):
        return list(Arrival.objects.order_by("pk"))


def leads(tenant) -> list[Lead]:
    with inside(tenant.pk):
        return list(Lead.objects.order_by("pk"))


def options(source: Source, **values) -> None:
    with inside(source.tenant_id):
        Source.objects.filter(pk=source.pk).update(options={**source.options, **values})


def test_object_becomes_a_lead_by_the_usual_names(tenant, source):
    answer = send(source, PERSON)
    (lead,), (arrival,) = leads(tenant), arrivals(tenant)
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "lead_id": lead.pk, "arrival_id": arrival.pk, "message": "Lead received successfully"},
    )
    assert (lead.full_name, lead.email, lead.lead_source, lead.platform_key, lead.created_via) == (
        "Jane Roe",
        "jane@acme.example",
        "Shop",
        "other",
        "webhook",
    )
    assert lead.custom_fields == {"budget": "5000", "id": "e-1"}
    assert lead.raw_field_data == PERSON
    assert (arrival.door, arrival.door_id, arrival.payload, arrival.outcome) == ("webhook", source.pk, {"body": PERSON}, "created")


def test_source_s_defaults_and_channel_are_given_to_its_leads(tenant, bob):
    source = make_source(tenant, lead_source="Partner", tags=["shop"], default_owner=bob, options={"channel": "instagram"})
    send(source, PERSON)
    (lead,) = leads(tenant)
    assert (lead.lead_source, lead.tags, lead.owner_id, lead.platform_key) == ("Partner", ["shop"], bob.pk, "instagram")


def test_mapping_of_the_form_beats_the_general_one(tenant, alice):
    source = make_source(tenant, options={"form_path": "form.id"})
    with acting(alice) as by:
        save_mapping(source=source, rules=[{"field": "company", "from": ["a"]}], by=by)
        save_mapping(source=source, form_id="7", form_name="Fair", rules=[{"field": "company", "from": ["b"]}], by=by)
    send(source, {"a": "General", "b": "Own", "form": {"id": 7}})
    send(source, {"a": "General", "b": "Own", "form": {"id": 8}})
    assert [lead.company for lead in leads(tenant)] == ["Own", "General"]
    assert [arrival.form_id for arrival in arrivals(tenant)] == ["7", "8"]
    assert leads(tenant)[0].source_page_name == "Fair"


def test_nothing_to_know_somebody_by_is_kept_and_read_once_the_mapping_is_mended(tenant, source, alice):
    answer = send(source, {"q1": "Jane Roe", "q2": "jane@acme.example"})
    assert (answer.status_code, answer.json()["success"], answer.json()["lead_id"]) == (200, True, None)
    (arrival,) = arrivals(tenant)
    assert (arrival.outcome, arrival.error) == ("failed", "Give at least one of name, e-mail, phone or company.")
    with acting(alice) as by:
        save_mapping(source=source, rules=[{"field": "name", "from": ["q1"]}, {"field": "email", "from": ["q2"]}], by=by)
        replay_arrival(arrival_id=arrival.pk, by=by)
    process_due()
    assert [(lead.full_name, lead.email) for lead in leads(tenant)] == [("Jane Roe", "jane@acme.example")]
    assert arrivals(tenant)[0].outcome == "created"


def test_known_address_joins_its_lead(tenant, source):
    known = make_lead(tenant, email="jane@acme.example")
    assert send(source, PERSON).json()["lead_id"] == known.pk
    assert (len(leads(tenant)), arrivals(tenant)[0].was_duplicate) == (1, True)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=base64"])
def test_forms_are_read(tenant, source, content_type):
    content = urlencode([("Name", "Jané Roe"), ("email", "jane@acme.example"), ("colour", "red"), ("colour", "blue")]).encode()
    assert send(source, content, content_type=content_type).status_code == 200
    (lead,) = leads(tenant)
    assert (lead.full_name, lead.raw_field_data["colour"]) == ("Jané Roe", ["red", "blue"])


def test_multipart_forms_are_read_and_files_kept_by_name(tenant, source):
    from django.core.files.uploadedfile import SimpleUploadedFile

    fields = {"name": "Jane Roe", "cv": SimpleUploadedFile("cv.pdf", b"%PDF\r\n--x", content_type="application/pdf")}
    assert Client().post(url(source), fields).status_code == 200
    (lead,) = leads(tenant)
    assert (lead.full_name, lead.raw_field_data["cv"]) == ("Jane Roe", "cv.pdf")
    assert lead.raw_field_data["_files"] == [{"name": "cv.pdf", "type": "application/pdf", "size": 9}]


# --- sent twice ---


def test_repeats_are_known_by_key_own_id_and_content(tenant):
    source = make_source(tenant, options={"id_path": "event.id"})
    first = send(source, PERSON).json()
    assert send(source, {**PERSON, "budget": 1}).json() == first
    keyed = send(source, PERSON, HTTP_IDEMPOTENCY_KEY="k").json()
    assert send(source, {"name": "Another"}, HTTP_IDEMPOTENCY_KEY="k").json() == keyed
    assert [arrival.source_lead_id for arrival in arrivals(tenant)] == [f"{source.pk}:e-1", f"{source.pk}:k"]


def test_same_content_is_the_same_within_a_minute(tenant, source):
    with time_machine.travel("2026-03-01T10:00:05Z", tick=False):
        send(source, PERSON)
        send(source, PERSON)
    assert len(arrivals(tenant)) == 1
    with time_machine.travel("2026-03-01T10:01:05Z", tick=False):
        send(source, PERSON)
    assert len(arrivals(tenant)) == 2


def test_two_sources_may_use_the_same_ids(tenant):
    for name in ("One", "Two"):
        send(make_source(tenant, name=name, options={"id_path": "id"}), {"id": 1, "name": name})
    assert [lead.full_name for lead in leads(tenant)] == ["One", "Two"]


# --- lists ---


def test_list_is_an_arrival_an_item_and_bad_items_are_named(tenant, source):
    answer = send(source, [{"name": "One"}, 5, {"x": 1}, None, {"name": "Two"}]).json()
    (one, failed, two), (first, second) = arrivals(tenant), leads(tenant)
    refused = {"arrival_id": None, "lead_id": None, "error": "Must be a JSON object."}
    assert (answer["success"], answer["received"]) == (True, 3)
    assert answer["arrivals"] == [
        {"arrival_id": one.pk, "lead_id": first.pk},
        refused,
        {"arrival_id": failed.pk, "lead_id": None},
        refused,
        {"arrival_id": two.pk, "lead_id": second.pk},
    ]


def test_key_of_a_list_is_one_an_item(tenant, source):
    first = send(source, [{"name": "One"}, {"name": "Two"}], HTTP_IDEMPOTENCY_KEY="k").json()
    assert send(source, [{"name": "One"}, {"name": "Two"}], HTTP_IDEMPOTENCY_KEY="k").json() == first
    assert len(arrivals(tenant)) == 2


def test_long_list_is_stored_at_once_and_read_by_workers(tenant, source):
    count = inbound.MOST_ANSWERED + 1
    answer = send(source, [{"name": f"Person {number}"} for number in range(count)]).json()
    assert answer["received"] == count
    assert [row["arrival_id"] for row in answer["arrivals"]] == [arrival.pk for arrival in sorted(arrivals(tenant), key=_number)]
    assert leads(tenant) == []
    assert process_due() == count
    assert (len(leads(tenant)), ArrivalJob.objects.count()) == (count, 0)


def _number(arrival: Arrival) -> int:
    return int(arrival.payload["body"]["name"].split()[1])


@pytest.mark.parametrize("body", [[], [1, 2], 5, "x", None, [{}] * (inbound.MOST_ITEMS + 1)])
def test_what_is_no_object_nor_a_list_of_them_is_400(tenant, source, body):
    answer = send(source, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert arrivals(tenant) == []


# --- who may send ---


def test_unknown_other_and_switched_off_sources_are_alike(tenant, source):
    off, mails = make_source(tenant, name="Off", is_active=False), make_source(tenant, name="Mails", kind=SourceKind.EMAIL)
    page = make_source(tenant, name="Page", kind=SourceKind.FACEBOOK, external_id="123")
    addresses = [
        url(off),
        url(mails),
        url(page),
        "/api/webhooks/in/sms_none",
        "/api/webhooks/in/sms_%00",
        "/api/webhooks/in/x",
        url(source, "email"),
    ]
    answers = [Client().generic("POST", address, b"{", content_type="application/json") for address in addresses]
    assert {(answer.status_code, answer.json()["error"]["code"], answer.json()["message"]) for answer in answers} == {
        (404, "UNKNOWN_SOURCE", "No source has this address.")
    }


def test_key_leads_into_its_own_tenant_alone(tenant, next_door, source):
    theirs = make_source(next_door)
    send(theirs, PERSON)
    assert (len(leads(tenant)), len(leads(next_door))) == (0, 1)


def test_rotated_key_and_suspended_tenant_are_refused(tenant, source, alice):
    old = url(source)
    with acting(alice) as by:
        rotate_key(source=source, by=by)
    assert Client().generic("POST", old, b"{}", content_type="application/json").status_code == 404
    assert send(source, PERSON).status_code == 200
    tenant.is_active = False
    tenant.save()
    assert send(source, PERSON).status_code == 404


def signed(secret: str, body: bytes, at: float) -> str:
    stamp = str(int(at))
    return f"t={stamp},v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def test_forged_old_and_missing_signatures_are_refused(tenant, source, alice):
    with acting(alice) as by:
        secret = set_signing(source=source, on=True, by=by)
    body = orjson.dumps(PERSON)
    now = time.time()
    bare = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    for header in ("", "x", "t=,v1=", signed("other", body, now), signed(secret, body + b" ", now), signed(secret, body, now - 301)):
        assert send(source, body, HTTP_X_SIGNATURE=header).status_code == 403, header
    assert send(source, body, HTTP_X_HUB_SIGNATURE_256=bare).status_code == 403, "this source does not take that scheme"
    assert arrivals(tenant) == []
    assert send(source, body, HTTP_X_SIGNATURE=signed(secret, body, now - 290)).status_code == 200


@pytest.mark.parametrize("scheme", ["sha256", "github"])
def test_signature_without_a_time_is_taken_where_the_source_says_so(tenant, source, alice, scheme):
    options(source, signature=scheme)
    with acting(alice) as by:
        secret = set_signing(source=Source.objects.get(pk=source.pk), on=True, by=by)
    body = orjson.dumps(PERSON)
    good = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    for header in ("", good[:-1], good.upper(), "sha256=é"):
        assert send(source, body, HTTP_X_HUB_SIGNATURE_256=header).status_code == 403
    assert send(source, body, HTTP_X_HUB_SIGNATURE_256=good).status_code == 200


def test_secret_sealed_under_a_lost_key_refuses_rather_than_lets_in(tenant, source, alice, settings):
    with acting(alice) as by:
        secret = set_signing(source=source, on=True, by=by)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-of-more-than-thirty-two-characters", []
    body = orjson.dumps(PERSON)
    assert send(source, body, HTTP_X_SIGNATURE=signed(secret, body, time.time())).status_code == 403


def test_source_takes_only_so_many_an_hour(tenant, source, rate_limits):
    options(source, hourly_limit=2)
    codes = [send(source, {"name": f"N{number}"}, REMOTE_ADDR="192.0.2.80").status_code for number in range(3)]
    assert codes == [200, 200, 429]


def test_address_takes_only_so_many_a_minute(tenant, source, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "webhook": 1}
    codes = [send(source, {"name": f"N{number}"}, REMOTE_ADDR="192.0.2.81").status_code for number in range(2)]
    assert codes == [200, 429]


def test_body_over_the_limit_is_413(tenant, source, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert send(source, {"name": "x" * 2000}).status_code == 413
    assert arrivals(tenant) == []


# --- whatever else is sent ---

TYPES = st.sampled_from(
    [
        "application/json", "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data",
        "multipart/form-data; boundary*=utf-8''%ff", "application/json; charset=zlib",
    ]
)  # fmt: skip
PARTS = st.lists(
    st.sampled_from([b"--b\r\n", b"--b--", b"\r\n\r\n", b'Content-Disposition: form-data; name="name"', b"Content-Type: message/rfc822\r\n",
                     b'; filename="a"', b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Transfer-Encoding: base64\r\n"]) | st.binary(max_size=20),
    max_size=12,
).map(b"".join)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20) | st.just("\x00"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "email", "phone", "id", "tags", "priority", ""]) | st.text(max_size=8), inner, max_size=4
        )
    ),
    max_leaves=10,
).map(lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))


@pytest.mark.slow
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(content=st.binary(max_size=60) | PARTS | JSON, content_type=TYPES, path=st.sampled_from(["", "id", "0", "name"]))
def test_no_body_is_a_server_error(source, content, content_type, path):
    options(source, id_path=path, form_path=path)
    answer = send(source, content, content_type=content_type)
    assert answer.status_code in (200, 400), answer.content
    assert answer.json()["success"] is (answer.status_code == 200)
