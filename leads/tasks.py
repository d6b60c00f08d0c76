"""Celery entry points of leads."""

from celery import shared_task

from leads.services import counts, exports
from leads.services.bin import purge_bin


@shared_task(name="leads.compact_counts")
def compact_lead_counts(**_: object) -> None:
    counts.compact_counts()


@shared_task(name="leads.flush_search")
def flush_search(**_: object) -> None:
    counts.flush_search()


@shared_task(name="leads.purge_bin")
def purge_lead_bin(**_: object) -> None:
    purge_bin()


@shared_task(name="leads.delete_expired_exports")
def delete_expired_exports(**_: object) -> None:
    exports.delete_expired_exports()
