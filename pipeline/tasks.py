"""Celery entry points of stages and service levels."""

from celery import shared_task

from pipeline.services import escalation, ledger


@shared_task(name="pipeline.compact_figures")
def compact_figures(**_: object) -> None:
    ledger.compact_figures()


@shared_task(name="pipeline.escalate")
def escalate(**_: object) -> None:
    escalation.escalate_due()
