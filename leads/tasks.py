"""Celery entry points of leads."""

from celery import shared_task

from leads.services import counts


@shared_task(name="leads.compact_counts")
def compact_lead_counts(**_: object) -> None:
    counts.compact_counts()


@shared_task(name="leads.flush_search")
def flush_search(**_: object) -> None:
    counts.flush_search()
