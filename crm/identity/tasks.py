"""Celery entry points of identity."""

from celery import shared_task

from crm.identity.services.cleanup import clear_leftovers


@shared_task(name="identity.clear_leftovers")
def clear_sign_in_leftovers(**_: object) -> None:
    clear_leftovers()
