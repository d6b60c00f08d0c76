"""Celery entry points of enrichment."""

from celery import shared_task

from enrichment.services import bulk


@shared_task(name="enrichment.enrich_due")
def enrich_due(**_: object) -> None:
    bulk.enrich_due()


@shared_task(name="enrichment.forget_old_answers")
def forget_old_answers(**_: object) -> None:
    bulk.forget_old_answers()
