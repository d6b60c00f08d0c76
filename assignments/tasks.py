"""Celery entry points of assignments."""

from celery import shared_task

from assignments.services import capture


@shared_task(name="assignments.retry_queues")
def retry_queues(**_: object) -> None:
    capture.retry_queues()
