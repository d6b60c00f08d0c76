"""Celery entry points of operations."""

from celery import shared_task

from crm.operations import runner, services

# Well within the time that a worker is given to stop.
TURN = 10.0


@shared_task(name="operations.run")
def run_operation(*, operation_id: int, **_: object) -> None:
    runner.run(operation_id, seconds=TURN)


@shared_task(name="operations.sweep")
def sweep_operations(**_: object) -> None:
    runner.sweep()


@shared_task(name="operations.clear_drafts")
def clear_drafts(**_: object) -> None:
    services.discard_old_drafts()
