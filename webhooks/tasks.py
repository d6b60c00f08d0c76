"""Celery entry points of webhooks."""

from celery import shared_task

from webhooks.services import arrivals


@shared_task(name="webhooks.process_due")
def process_due_arrivals(**_: object) -> None:
    arrivals.process_due()
