"""What nobody means to send: nesting without end, digits that are no numbers, files, signatures that are no text."""

import time

import orjson
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from crm.tenancy.models import Tenant
from leads.models import Arrival, Lead
from leads.services.forms import set_signing
from tests.factories import acting, inside, make_form

URL = "/api/webhooks/website"


@pytest.fixture
def open_tenant(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(open_form=True)
    return tenant


def send(payload, **headers):
    content = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return Client().generic("POST", URL, content, content_type="application/json", **headers)


@pytest.mark.parametrize("levels", [70, 260, 600, 1000])
@pytest.mark.parametrize("place", ["answers", "utm", "more"])
def test_nesting_that_could_not_be_answered_again_is_refused(open_tenant, levels, place):
    deep = b'{"a":' * levels + b"1" + b"}" * levels
    body = b'{"entity_id":%d,"answers":{"email":"a@example.com","x":1},"%s":%s}' % (open_tenant.pk, place.encode(), deep)
    answer = send(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    with inside(open_tenant.pk):
        assert not Arrival.objects.exists()


def test_sixty_levels_are_taken_and_read_back(open_tenant, alice, api):
    deep = b"[" * 60 + b"]" * 60
    answer = send(b'{"entity_id":%d,"answers":{"email":"a@example.com","x":%s}}' % (open_tenant.pk, deep))
    assert answer.status_code == 200
    assert api(alice).get(f"/api/leads/{answer.json()['lead_id']}").status_code == 200


@pytest.mark.parametrize("levels", [70, 300, 900])
def test_deep_free_map_of_a_lead_is_refused(alice, api, levels):
    body = b'{"name":"Deep","custom_fields":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    assert api(alice).post("/api/leads", body).status_code == 400
    with inside(alice.tenant_id):
        assert not Lead.objects.exists()


def test_json_body_that_is_too_large_is_413_whoever_reads_it(alice, api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api(alice).post("/api/leads", {"name": "Big", "notes": "x" * 2000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("entity_id", ["²", "①", "٣²"])
def test_digit_that_is_no_number_is_refused_as_entity(open_tenant, entity_id):
    answer = send({"entity_id": entity_id, "answers": {"email": "a@example.com"}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "entity_id")


def test_company_size_of_superscripts_is_kept_and_scored(open_tenant):
    answer = send({"entity_id": open_tenant.pk, "answers": {"email": "a@example.com", "company_size": "²³"}})
    assert answer.status_code == 200
    with inside(open_tenant.pk):
        assert Lead.objects.get().company_size == "²³"


def test_file_in_a_form_is_kept_by_its_name(open_tenant):
    fields = {"entity_id": open_tenant.pk, "email": "a@example.com", "cv": SimpleUploadedFile("cv.pdf", b"%PDF")}
    assert Client().post(URL, fields).status_code == 200
    with inside(open_tenant.pk):
        assert Lead.objects.get().custom_fields == {"cv": "cv.pdf"}


@pytest.mark.parametrize("signature", ["t=²,v1=é", "t={now},v1=é", "t=²,v1=0", "v1=é"])
def test_signature_that_is_no_plain_text_is_refused(tenant, admin, signature):
    form = make_form(tenant)
    with acting(admin) as by:
        set_signing(form=form, on=True, by=by)
        key = form.key.key
    answer = send({"answers": {"email": "a@example.com"}}, HTTP_X_FORM_KEY=key, HTTP_X_SIGNATURE=signature.format(now=int(time.time())))
    assert answer.status_code == 403
