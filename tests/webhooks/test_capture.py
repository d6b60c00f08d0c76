"""Document 4's capture endpoints."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.identity.models import Role
from leads.models import Arrival, Lead
from leads.services import intake
from tests.factories import acting, inside, make_lead, make_user
from webhooks.services import capture
from webhooks.services.arrivals import process_due

FORM = "/v1/leads/capture/web-form"
EMAIL = "/api/leads/capture/email"
SOCIAL = "/api/leads/capture/social"
ANSWERS = {"answers": {"Your name": "Jane Roe", "email": "jane@acme.example", "Shoe size": 42}}
MAIL = {"from": "Jane Roe <jane@acme.example>", "subject": "Prices", "text": "Please call."}
CONTACT = {"network": "LinkedIn", "handle": "jane.roe", "message": "Nice!", "campaign": "spring"}


def only(user, model):
    with inside(user.tenant_id):
        return model.objects.select_related(*(["lead"] if model is Arrival else [])).get()


@pytest.mark.parametrize(
    ("path", "body", "door", "source", "platform"),
    [
        (FORM, ANSWERS, "website", "Website", "website"),
        (EMAIL, MAIL, "email", "E-mail", "email"),
        (SOCIAL, CONTACT, "social", "LinkedIn", "other"),
        (SOCIAL, {**CONTACT, "network": "instagram"}, "social", "Instagram", "instagram"),
        (SOCIAL, {**CONTACT, "network": "twitter"}, "social", "X", "other"),
    ],
)
def test_lead_is_captured_in_the_caller_s_name(api, bob, path, body, door, source, platform):
    answer = api(bob).post(path, body)
    lead, arrival = only(bob, Lead), only(bob, Arrival)
    assert answer.status_code == 201, answer.content
    assert answer.json()["data"] == {"lead_id": lead.pk, "arrival_id": arrival.pk, "was_duplicate": False, "status": "created"}
    assert (arrival.door, lead.lead_source, lead.platform_key) == (door, source, platform)
    assert (lead.created_by_id, lead.created_via) == (bob.pk, "api")


def test_values_are_read_as_their_doors_read_them(api, bob):
    api(bob).post(FORM, {**ANSWERS, "page_url": "https://example.com/p", "utm": {"source": "news"}})
    lead, arrival = only(bob, Lead), only(bob, Arrival)
    assert (lead.full_name, lead.email, lead.custom_fields) == ("Jane Roe", "jane@acme.example", {"Shoe size": "42"})
    assert (arrival.page_url, arrival.utm_source) == ("https://example.com/p", "news")


def test_handle_stands_in_for_a_name(api, bob):
    api(bob).post(SOCIAL, {**CONTACT, "profileUrl": "https://www.linkedin.com/in/jane.roe"})
    lead, arrival = only(bob, Lead), only(bob, Arrival)
    assert (lead.full_name, lead.notes, lead.website) == ("jane.roe", "Nice!", "https://www.linkedin.com/in/jane.roe")
    assert lead.custom_fields["campaign"] == "spring"
    assert (arrival.utm_source, arrival.utm_campaign) == ("linkedin", "spring")


def test_whole_mail_is_read_as_raw(api, bob):
    raw = "From: Jane <jane@acme.example>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nAuto-Submitted: auto-generated\n\nHello"
    assert api(bob).post(EMAIL, {"raw": raw}).json()["data"]["status"] == "created"
    assert only(bob, Lead).notes == "Grüße\n\nHello"


@pytest.mark.parametrize(("path", "body"), [(FORM, ANSWERS), (EMAIL, MAIL), (SOCIAL, CONTACT)])
def test_repeat_answers_the_first(api, bob, path, body):
    client = api(bob)
    first = client.post(path, body, HTTP_IDEMPOTENCY_KEY="k").json()["data"]
    assert client.post(path, body, HTTP_IDEMPOTENCY_KEY="k").json()["data"] == first
    only(bob, Arrival)


@pytest.mark.parametrize(("path", "body"), [(FORM, ANSWERS), (EMAIL, MAIL), (SOCIAL, {**CONTACT, "email": "jane@acme.example"})])
def test_known_address_is_merged(api, bob, tenant, path, body):
    known = make_lead(tenant, email="jane@acme.example")
    data = api(bob).post(path, body).json()["data"]
    assert (data["lead_id"], data["was_duplicate"], data["status"]) == (known.pk, True, "merged")


@pytest.mark.parametrize(("path", "body"), [(FORM, {"answers": {"colour": "red"}}), (SOCIAL, {"network": "x", "message": "Hi"})])
def test_nobody_in_particular_is_kept_as_failed(api, bob, path, body):
    answer = api(bob).post(path, body)
    assert answer.status_code == 201
    assert (answer.json()["data"]["lead_id"], answer.json()["data"]["status"]) == (None, "failed")
    assert answer.json()["message"] == "Give at least one of name, e-mail, phone or company."
    assert only(bob, Arrival).processing_status == "failed"


def test_fault_of_ours_keeps_what_was_handed_over(api, bob, monkeypatch):
    insert = intake._insert

    def breaks(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(intake, "_insert", breaks)
    answer = api(bob).post(SOCIAL, CONTACT)
    assert (answer.status_code, answer.json()["data"]["status"]) == (201, "received")
    monkeypatch.setattr(intake, "_insert", insert)
    with inside(bob.tenant_id):
        from webhooks.models import ArrivalJob

        ArrivalJob.objects.update(due_at="2020-01-01T00:00Z")
    assert process_due() == 1
    assert only(bob, Arrival).lead.full_name == "jane.roe"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (FORM, {}, "answers"),
        (FORM, {"answers": {}}, "answers"),
        (FORM, {"answers": [1]}, "answers"),
        (EMAIL, {}, "from"),
        (EMAIL, {"from": "nobody", "text": "x"}, "from"),
        (SOCIAL, {}, "network"),
        (SOCIAL, {"network": "myspace"}, "network"),
    ],
)
def test_wrong_bodies_name_the_field(api, bob, path, body, field):
    answer = api(bob).post(path, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_who_may_not_add_leads_is_refused(api, tenant):
    nobody = make_user(tenant, role="support")
    with inside(tenant.pk):
        Role.objects.filter(code="support").update(capabilities=[])
    assert {api(nobody).post(path, {}).status_code for path in (FORM, EMAIL, SOCIAL)} == {403}


def test_lead_lands_in_the_caller_s_tenant(api, mallory, tenant):
    api(mallory).post(EMAIL, MAIL)
    only(mallory, Lead)
    with inside(tenant.pk):
        assert not Lead.objects.exists()


def test_service_asks_for_the_capability_itself(tenant):
    from crm.errors import Forbidden

    nobody = make_user(tenant, role="support")
    with inside(tenant.pk):
        Role.objects.filter(code="support").update(capabilities=[])
    with acting(nobody) as by, pytest.raises(Forbidden):
        capture.capture_email(fields=MAIL, by=by)


VALUES = (
    st.none()
    | st.integers()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=5), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5))
)
NAMES = [
    "answers",
    "utm",
    "page_url",
    "page_id",
    "from",
    "subject",
    "text",
    "html",
    "raw",
    "network",
    "name",
    "handle",
    "email",
    "phone",
    "message",
]


@pytest.mark.slow
@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True
)
@given(path=st.sampled_from([FORM, EMAIL, SOCIAL]), body=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5), network=st.booleans())
def test_no_body_is_a_server_error(api, bob, path, body, network):
    body = {**body, **({"network": "other"} if network else {})}
    import json

    answer = api(bob).post(path, json.dumps(body).encode(), content_type="application/json")
    assert answer.status_code in (201, 400), answer.content
