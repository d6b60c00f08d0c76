"""Celery entry points of duplicates."""

from celery import shared_task

from duplicates.services import scanning


@shared_task(name=scanning.TASK, acks_late=True)
def scan_leads(*, tenant_id: int, **_: object) -> None:
    if scanning.run_scan(tenant_id=tenant_id, by=scanning.scanned_by(tenant_id)) is not None:
        scanning.resume_scans(at_most=1)


@shared_task(name="duplicates.scan_all")
def scan_all(**_: object) -> None:
    scanning.ask_for_nightly_scans()


@shared_task(name="duplicates.resume_scans")
def resume_scans(**_: object) -> None:
    scanning.resume_scans()
