"""Long work: counters that add up, resumption after a death, one worker at a time."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import structlog
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError, Forbidden
from crm.operations import runner
from crm.operations.models import Claim, Operation, OperationRow
from crm.operations.runner import Chunk, RowError, claim, run, sweep
from crm.operations.services import DRAFTS_KEPT, AlreadyOver, cancel_operation, discard_old_drafts, start_operation
from crm.tenancy.scope import current_scope, tenant_scope
from leads.models import Tag
from tests.factories import acting, inside, make_tenant, make_user

ROWS = 10


def tag_rows(operation: Operation, actor: Actor) -> Chunk:
    """Do three rows: one is made, one skipped, one fails."""
    start = operation.cursor.get("row", 0)
    made = [row for row in range(start, min(start + 3, ROWS)) if row % 3 == 0]
    failed = [row for row in range(start, min(start + 3, ROWS)) if row % 3 == 2]
    Tag.objects.bulk_create(Tag(name=f"{operation.pk}-{row}") for row in made)
    return Chunk(
        cursor={"row": start + 3},
        finished=start + 3 >= ROWS,
        total=ROWS,
        created=len(made),
        skipped=min(3, ROWS - start) - len(made) - len(failed),
        errors=[RowError(row=row, field="name", message="No.", values={"row": row}) for row in failed],
        result={"last": start},
    )


@pytest.fixture(autouse=True)
def _kinds(monkeypatch):
    monkeypatch.setattr(runner, "_kinds", {"test.tag": runner.Kind(step=tag_rows)})


def start(user, kind: str = "test.tag", **options) -> Operation:
    with acting(user) as by:
        return start_operation(kind=kind, title="Tagging", by=by, **options)


def read(operation: Operation) -> Operation:
    with inside(operation.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def tags(operation: Operation) -> int:
    with inside(operation.tenant_id):
        return Tag.objects.filter(name__startswith=f"{operation.pk}-").count()


def counters(operation: Operation) -> tuple[int, ...]:
    return operation.done, operation.created, operation.updated, operation.skipped, operation.failed


def test_operation_runs_to_its_end_and_its_counters_add_up(alice):
    operation = start(alice)
    assert (operation.state, operation.percent, operation.rate, operation.time_left) == ("waiting", None, 0.0, None)
    run(operation.pk)
    done = read(operation)
    assert (done.state, done.percent, done.total, counters(done)) == ("done", 100, 10, (10, 4, 0, 3, 3))
    assert (done.result, done.is_over, done.time_left, done.rate > 0) == ({"last": 9}, True, None, True)
    with inside(alice.tenant_id):
        assert [(error.row, error.field, error.values) for error in OperationRow.objects.all()] == [
            (n, "name", {"row": n}) for n in (2, 5, 8)
        ]
    assert not Claim.objects.exists()


def test_counters_that_do_not_add_up_cannot_be_stored(alice):
    operation = start(alice)
    with inside(alice.tenant_id), pytest.raises(IntegrityError), transaction.atomic():
        Operation.objects.filter(pk=operation.pk).update(done=5, created=3)


def test_half_done_operation_tells_how_far_it_is(alice):
    operation = start(alice)
    assert runner._next_chunk(alice.tenant_id, operation.pk)
    half = read(operation)
    assert (half.state, half.percent, counters(half)) == ("running", 30, (3, 1, 0, 1, 1))
    half.started_at = timezone.now() - timedelta(seconds=3)
    assert half.rate == pytest.approx(1.0, abs=0.2)
    assert half.time_left == pytest.approx(timedelta(seconds=7), abs=timedelta(seconds=2))


def test_operation_works_as_who_asked_for_it_by_the_door_they_came(alice, monkeypatch):
    seen = []

    def look(operation: Operation, actor: Actor) -> Chunk:
        scope = current_scope()
        seen.append((actor.user_id, actor.door, scope.actor, scope.operation_id))
        return Chunk(cursor={}, finished=True)

    monkeypatch.setitem(runner._kinds, "test.look", runner.Kind(step=look))
    with acting(alice, door=Door.IMPORT) as by:
        operation = start_operation(kind="test.look", title="x", by=by)
    run(operation.pk)
    ((user_id, door, actor, operation_id),) = seen
    assert (user_id, door, actor.user_id, operation_id) == (alice.pk, Door.IMPORT, alice.pk, operation.pk)


def test_operation_of_somebody_who_left_fails_and_says_why(alice):
    operation = start(alice)
    with inside(alice.tenant_id):
        type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    run(operation.pk)
    failed = read(operation)
    assert (failed.state, failed.error) == ("failed", "The person who asked for this is no longer active.")
    assert tags(operation) == 0
    assert not Claim.objects.exists()


def test_operation_of_the_system_needs_nobody(tenant):
    by = Actor.system(tenant_id=tenant.pk)
    with tenant_scope(tenant.pk, by=by):
        operation = start_operation(kind="test.tag", title="x", by=by)
    run(operation.pk)
    assert read(operation).state == "done"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("secret"), "Stopped by an error: RuntimeError. Everything before it is kept."),
        (DomainError("The file is gone."), "The file is gone."),
    ],
)
def test_operation_that_breaks_keeps_what_was_done(alice, monkeypatch, error, message):
    def step(operation: Operation, actor: Actor) -> Chunk:
        if operation.cursor:
            Tag.objects.create(name="half done")
            raise error
        return tag_rows(operation, actor)

    monkeypatch.setitem(runner._kinds, "test.tag", runner.Kind(step=step))
    operation = start(alice)
    with structlog.testing.capture_logs():
        run(operation.pk)
    failed = read(operation)
    assert (failed.state, failed.error, counters(failed), tags(operation)) == ("failed", message, (3, 1, 0, 1, 1), 1)
    with inside(alice.tenant_id):
        assert not Tag.objects.filter(name="half done").exists()
    assert not Claim.objects.exists()


def test_only_so_many_errors_are_kept_and_all_are_counted(alice, monkeypatch):
    monkeypatch.setattr(runner, "KEPT_ROWS", 2)
    operation = start(alice)
    run(operation.pk)
    assert read(operation).failed == 3
    with inside(alice.tenant_id):
        assert OperationRow.objects.count() == 2


# --- cancel ---


def test_cancel_stops_after_the_chunk_in_progress(alice):
    operation = start(alice)
    runner._next_chunk(alice.tenant_id, operation.pk)
    with acting(alice) as by:
        cancelled = cancel_operation(operation=operation, by=by)
        assert cancelled.state == "cancelled"
        with pytest.raises(AlreadyOver):
            cancel_operation(operation=operation, by=by)
    assert not runner._next_chunk(alice.tenant_id, operation.pk)
    run(operation.pk)
    assert (read(operation).state, counters(read(operation))) == ("cancelled", (3, 1, 0, 1, 1))


def test_colleague_may_not_cancel_without_the_permission(alice, bob):
    operation = start(alice)
    with acting(bob) as by, pytest.raises(Forbidden):
        cancel_operation(operation=operation, by=by)
    assert read(operation).state == "waiting"


# --- leases ---


def test_lease_is_taken_once_and_again_when_it_ran_out(alice):
    operation = start(alice)
    assert claim(operation.pk) == alice.tenant_id
    assert claim(operation.pk) is None
    Claim.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    assert claim(operation.pk) == alice.tenant_id
    assert claim(10**9) is None


def test_sweep_wakes_what_waits_and_what_was_left_behind(alice, monkeypatch):
    woken = []
    monkeypatch.setattr(runner.nudge, "task", lambda name, **values: woken.append((name, values["operation_id"])))
    waiting, left, held = start(alice), start(alice), start(alice)
    Claim.objects.filter(operation_id=left.pk).update(held_until=timezone.now() - timedelta(seconds=1))
    assert claim(held.pk)
    assert sweep() == 2
    assert woken == [("operations.run", waiting.pk), ("operations.run", left.pk)]


@pytest.mark.slow
def test_eight_workers_take_a_lease_once(committed_db):
    operation = start(make_user(make_tenant()))
    taken, barrier = [], threading.Barrier(8)

    def work():
        barrier.wait()
        try:
            taken.append(claim(operation.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (taken.count(operation.tenant_id), taken.count(None)) == (1, 7)


WORKER = """
import django
django.setup()
import sys, time
from crm.operations import runner
from tests.crm.operations.test_runner import tag_rows
def slow(operation, actor):
    chunk = tag_rows(operation, actor)
    if operation.cursor.get("row") == 6:
        print("in the third chunk", flush=True)
        time.sleep(60)
    return chunk
runner._kinds["test.tag"] = runner.Kind(step=slow)
runner.run(int(sys.argv[1]))
"""


@pytest.mark.slow
def test_killed_worker_is_followed_by_one_that_goes_on_where_it_stopped(committed_db):
    operation = start(make_user(make_tenant()))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(operation.pk)], env=environment, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "in the third chunk\n"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    half = read(operation)
    assert (half.state, half.cursor, counters(half)) == ("running", {"row": 6}, (6, 2, 0, 2, 2))
    run(operation.pk)
    assert read(operation).state == "running", "the lease of the dead worker holds for a while"
    Claim.objects.update(held_until=timezone.now())
    run(operation.pk)
    assert (read(operation).state, counters(read(operation)), tags(operation)) == ("done", (10, 4, 0, 3, 3), 4)


def test_drafts_nobody_went_on_with_are_deleted_with_their_files(alice, bob):
    from django.core.files.base import ContentFile

    old = start(alice, draft=True, file=ContentFile(b"x", name="a.csv"))
    young, begun = start(bob, draft=True), start(alice)
    with inside(alice.tenant_id):
        Operation.objects.filter(pk__in=[old.pk, begun.pk]).update(created_at=timezone.now() - DRAFTS_KEPT - timedelta(hours=1))
    assert discard_old_drafts() == 1
    with inside(alice.tenant_id):
        assert set(Operation.objects.values_list("pk", flat=True)) == {young.pk, begun.pk}
