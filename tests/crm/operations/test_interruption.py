"""A database that goes away interrupts an operation; it does not end it."""

from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from crm.operations import runner
from crm.operations.models import Claim, Operation
from crm.operations.runner import Chunk, run, sweep
from crm.operations.services import start_operation
from tests.factories import acting, inside


@pytest.mark.parametrize("error", [OperationalError("terminating connection"), InterfaceError("connection already closed")])
def test_interrupted_operation_goes_on_where_it_was(alice, monkeypatch, error):
    rows: list[int] = []

    def step(operation: Operation, actor: object) -> Chunk:
        row = operation.cursor.get("row", 0)
        if row == 1 and error.args not in rows:
            rows.append(error.args)
            raise error
        return Chunk(cursor={"row": row + 1}, created=1, finished=row == 2)

    monkeypatch.setattr(runner, "_kinds", {"test.step": runner.Kind(step=step)})
    with acting(alice) as by:
        operation = start_operation(kind="test.step", title="x", by=by)
    run(operation.pk)
    with inside(alice.tenant_id):
        half = Operation.objects.get(pk=operation.pk)
    assert (half.state, half.done, half.error) == ("running", 1, "")
    # The lease runs out, and the sweep finds it.
    Claim.objects.filter(operation_id=operation.pk).update(held_until=timezone.now() - timedelta(seconds=1))
    assert sweep() == 1
    run(operation.pk)
    with inside(alice.tenant_id):
        done = Operation.objects.get(pk=operation.pk)
    assert (done.state, done.done, done.created) == ("done", 3, 3)


def test_long_operation_goes_back_into_the_queue_after_its_turn(alice, monkeypatch):
    def step(operation: Operation, actor: object) -> Chunk:
        row = operation.cursor.get("row", 0)
        return Chunk(cursor={"row": row + 1}, created=1, finished=row == 2)

    asked: list[int] = []
    monkeypatch.setattr(runner, "_kinds", {"test.step": runner.Kind(step=step)})
    monkeypatch.setattr(runner.nudge, "task", lambda name, *, operation_id: asked.append(operation_id))
    with acting(alice) as by:
        operation = start_operation(kind="test.step", title="x", by=by)
    asked.clear()
    run(operation.pk, seconds=0)
    with inside(alice.tenant_id):
        half = Operation.objects.get(pk=operation.pk)
    assert (half.state, half.done, asked) == ("running", 1, [operation.pk])
    assert Claim.objects.get(operation_id=operation.pk).held_until is None
    run(operation.pk)
    with inside(alice.tenant_id):
        assert Operation.objects.get(pk=operation.pk).state == "done"
