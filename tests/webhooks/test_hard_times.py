"""A slow database and a full disk: whoever sends is told so, nothing is half written, and it works again afterwards."""

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.client import MULTIPART_CONTENT

from crm.operations import runner
from crm.operations.models import Claim, Operation
from leads.models import Arrival, Lead
from leads.services import exports
from leads.services.exports import LeadExport, checked_export, start_export
from tests.factories import acting, inside, make_form, make_lead
from webhooks.services import website

ANSWERS = {"page_url": "https://x.example/", "answers": {"email": "ann@x.example", "name": "Ann"}}


def written(tenant) -> tuple[int, int]:
    with inside(tenant.pk):
        return Lead.objects.count(), Arrival.objects.count()


def test_a_statement_that_takes_too_long_is_told_to_the_sender(tenant, api, monkeypatch):
    form = make_form(tenant)
    with inside(tenant.pk):
        key = form.key.key
    receive = website.receive_arrival

    def slow(**given):
        answer = receive(**given)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 50")
            cursor.execute("SELECT pg_sleep(5)")
        return answer

    monkeypatch.setattr(website, "receive_arrival", slow)
    answer = api().post("/api/webhooks/website", ANSWERS, HTTP_X_FORM_KEY=key)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert written(tenant) == (0, 0)
    monkeypatch.undo()
    assert api().post("/api/webhooks/website", ANSWERS, HTTP_X_FORM_KEY=key).status_code in (200, 201)
    assert written(tenant) == (1, 1)


@pytest.fixture
def full_disk(monkeypatch):
    """Every file written to the store meets a full disk, as the system reports one."""

    def save(self, name, content):
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(FileSystemStorage, "_save", save)
    return monkeypatch


def test_a_file_for_which_there_is_no_room_is_refused_whole(tenant, alice, api, pages, full_disk):
    upload = SimpleUploadedFile("people.csv", b"Name\nAnn\n")
    answer = api(alice).post("/api/imports", {"file": upload, "settings": "{}"}, content_type=MULTIPART_CONTENT)
    assert (answer.status_code, answer.headers["Retry-After"]) == (507, "60")
    assert answer.json()["error"]["code"] == "INSUFFICIENT_STORAGE"
    web = pages(alice)
    web.raise_request_exception = False
    page = web.post("/leads/import", {"file": SimpleUploadedFile("people.csv", b"Name\nAnn\n")})
    assert (page.status_code, b"No room left" in page.content) == (507, True)
    with inside(tenant.pk):
        assert not Operation.objects.exists()


def test_an_operation_waits_for_room_and_goes_on(tenant, alice, monkeypatch):
    make_lead(tenant, first_name="Ann")
    with acting(alice) as by:
        operation = start_export(export=checked_export(export=LeadExport(format="csv", filters={}), by=by), by=by)
    write = exports.export_chunk

    def full(*given):
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setitem(runner._kinds, exports.KIND, runner.Kind(step=full))
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation.refresh_from_db()
        assert operation.state == "waiting"
    monkeypatch.setitem(runner._kinds, exports.KIND, runner.Kind(step=write))
    Claim.objects.filter(operation_id=operation.pk).update(held_until=None)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation.refresh_from_db()
        assert (operation.state, operation.created) == ("done", 1)
