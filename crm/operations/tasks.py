"""Celery entry points of operations."""

from celery import shared_task

from crm.operations import runner


@shared_task(name="operations.run")
def run_operation(*, operation_id: int, **_: object) -> None:
    runner.run(operation_id)


@shared_task(name="operations.sweep")
def sweep_operations(**_: object) -> None:
    runner.sweep()
