"""Celery entry points of the outbox."""

from celery import shared_task

from crm.events import services


@shared_task(name="events.deliver_outbox")
def deliver_outbox(**_: object) -> None:
    services.deliver_outbox()
