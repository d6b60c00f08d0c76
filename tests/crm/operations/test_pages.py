"""The pages of long work."""

import csv
import io

import pytest
import time_machine
from django.utils import timezone

from crm.operations.enums import State
from crm.operations.models import Operation, OperationRow
from crm.operations.runner import Chunk, RowError, kind, run, sweep
from crm.operations.services import start_operation
from crm.tenancy.scope import tenant_scope
from tests.crm.operations.test_api import make_errors, make_operation
from tests.factories import acting, make_tenant, make_user

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


def test_the_list_shows_ones_own(pages, alice, bob):
    make_operation(bob, title="Import of mine.csv")
    make_operation(alice, title="Import of hers.csv")
    page = pages(bob).get("/operations").content.decode()
    assert "mine.csv" in page
    assert "hers.csv" not in page
    assert "hers.csv" in pages(alice).get("/operations").content.decode()
    assert "in this state" in pages(bob).get("/operations?state=failed").content.decode()


def test_an_empty_list_says_what_comes(pages, bob):
    assert "Nothing has run yet" in pages(bob).get("/operations").content.decode()


def test_the_list_asks_again_only_while_something_runs(pages, bob):
    make_operation(bob, state=State.DONE)
    assert "every 2s" not in pages(bob).get("/operations").content.decode()
    make_operation(bob, state=State.RUNNING)
    page = pages(bob).get("/operations").content.decode()
    assert "every 2s, live:operation.progress from:body" in page
    assert 'data-events="operation.progress"' in page
    part = pages(bob).get("/operations", **HTMX).content.decode()
    assert part.lstrip().startswith("<tbody")


def test_a_running_operation_shows_progress_rate_and_time_left(pages, bob):
    started = timezone.now() - timezone.timedelta(seconds=100)
    operation = make_operation(
        bob, state=State.RUNNING, total=4000, done=1000, created=600, updated=100, skipped=250, failed=50, started_at=started
    )
    client = pages(bob)
    # Seconds count here, and a busy machine takes some to draw a page.
    with time_machine.travel(started + timezone.timedelta(seconds=100), tick=False):
        page = client.get(f"/operations/{operation.pk}").content.decode()
    for text in ('value="25"', "1,000 of 4,000 rows", "10/s", "5m left", "every 2s", "Stop"):
        assert text in page, text
    part = pages(bob).get(f"/operations/{operation.pk}", **HTMX).content.decode()
    assert part.lstrip().startswith('<div id="progress"')


def test_an_operation_that_is_over_asks_no_more(pages, bob):
    operation = make_operation(bob, state=State.FAILED, error="The file is not readable.", finished_at=timezone.now())
    page = pages(bob).get(f"/operations/{operation.pk}").content.decode()
    assert "every 2s" not in page
    assert "The file is not readable." in page
    assert "/cancel" not in page


def test_failed_rows_load_more(pages, bob):
    operation = make_operation(bob, state=State.DONE, done=60, failed=60, total=60)
    make_errors(operation, 60)
    client = pages(bob)
    page = client.get(f"/operations/{operation.pk}").content.decode()
    assert page.count("Wrong.") == 50
    cursor = page.split("cursor=")[1].split('"')[0]
    part = client.get(f"/operations/{operation.pk}?cursor={cursor}", **HTMX).content.decode()
    assert part.count("Wrong.") == 10
    assert "?cursor=" not in part
    assert client.get(f"/operations/{operation.pk}?cursor={cursor}").content.decode().count("Wrong.") == 10


def test_failed_rows_download_is_whole_and_safe_for_spreadsheets(pages, bob):
    operation = make_operation(bob, state=State.DONE, done=601, failed=601, total=601)
    make_errors(operation, 600)
    with tenant_scope(bob.tenant_id):
        OperationRow.objects.create(operation=operation, row=900, message="@SUM(1)", values={"email": None, "name": "-1+1"})
    answer = pages(bob).get(f"/operations/{operation.pk}/failed.csv")
    assert answer["Content-Disposition"] == f'attachment; filename="failed-rows-{operation.pk}.csv"'
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert rows[0] == ["Row", "Field", "Reason", "email"]
    assert len(rows) == 602
    assert rows[1] == ["0", "email", "Wrong.", "'=x0"]
    assert rows[-1] == ["900", "", "'@SUM(1)", ""]


def test_stopping_from_the_page(pages, bob):
    with acting(bob) as by:
        operation = start_operation(kind="tests.count", title="Count", by=by)
    client = pages(bob)
    assert client.post(f"/operations/{operation.pk}/cancel").status_code == 302
    again = client.post(f"/operations/{operation.pk}/cancel", HTTP_REFERER=f"http://testserver/operations/{operation.pk}", follow=True)
    assert "over already" in again.content.decode()


@pytest.mark.parametrize("path", ["", "/failed.csv"])
def test_next_door_sees_nothing(pages, bob, mallory, path):
    operation = make_operation(bob)
    assert pages(mallory).get(f"/operations/{operation.pk}{path}").status_code == 404
    assert pages(mallory).post(f"/operations/{operation.pk}/cancel").status_code == 404
    assert pages(bob).get("/operations/" + "9" * 40).status_code == 404


# --- the runner ---


def counting(total: int, size: int):
    """Does `size` rows a chunk: every fifth fails, every third is skipped."""

    def step(operation: Operation, by) -> Chunk:
        start = operation.cursor.get("row", 0)
        rows = range(start, min(start + size, total))
        errors = [RowError(row=row, message="Fifth.") for row in rows if row % 5 == 0]
        skipped = sum(1 for row in rows if row % 5 and row % 3 == 0)
        return Chunk(
            cursor={"row": rows.stop},
            finished=rows.stop == total,
            total=total,
            created=len(rows) - len(errors) - skipped,
            skipped=skipped,
            errors=errors,
        )

    return step


def test_an_operation_runs_in_chunks_and_its_counters_add_up(committed_db):
    user = make_user(make_tenant())
    kind("tests.count", counting(23, 10))
    with acting(user) as by:
        operation = start_operation(kind="tests.count", title="Count", by=by)
    run(operation.pk)
    run(operation.pk)
    with tenant_scope(user.tenant_id):
        operation.refresh_from_db()
        assert (operation.state, operation.total, operation.done, operation.failed) == ("done", 23, 23, 5)
        assert operation.created + operation.updated + operation.skipped + operation.failed == 23
        assert OperationRow.objects.filter(operation=operation).count() == 5
    assert sweep() == 0
