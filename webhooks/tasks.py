"""Celery entry points of webhooks."""

from celery import shared_task

from webhooks.services import arrivals, mailboxes, reconciliation, retention


@shared_task(name="webhooks.process_due")
def process_due_arrivals(**_: object) -> None:
    arrivals.process_due()


@shared_task(name="webhooks.reconcile_facebook")
def reconcile_facebook(**_: object) -> None:
    reconciliation.reconcile_pages()


@shared_task(name="webhooks.reconcile_facebook_page")
def reconcile_facebook_page(*, tenant_id: int, source_id: int, **_: object) -> None:
    reconciliation.reconcile_page(tenant_id=tenant_id, source_id=source_id)


@shared_task(name="webhooks.fetch_mailboxes")
def fetch_mailboxes(**_: object) -> None:
    mailboxes.fetch_mailboxes()


@shared_task(name="webhooks.fetch_mailbox")
def fetch_mailbox(*, tenant_id: int, source_id: int, **_: object) -> None:
    mailboxes.fetch_mailbox(tenant_id=tenant_id, source_id=source_id)


@shared_task(name="webhooks.forget_payloads")
def forget_payloads(**_: object) -> None:
    retention.forget_payloads()
