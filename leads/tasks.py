"""Celery entry points of leads."""

from celery import shared_task

from leads.services import counts


@shared_task(name="leads.compact_counts")
def compact_lead_counts(**_: object) -> None:
    counts.compact_counts()
