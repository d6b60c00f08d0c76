"""Background work of notifications. Beat runs each; a nudge wakes the mails sooner."""

from celery import shared_task

from crm.events import nudge
from notifications.services.mailing import MAIL_TASK, mail_digests, mail_due
from notifications.services.reading import forget_old


@shared_task(name=MAIL_TASK)
def mail_what_is_due(**_: object) -> None:
    nudge.starting(MAIL_TASK)
    mail_due()


@shared_task(name="notifications.mail_digests")
def mail_summaries(**_: object) -> None:
    mail_digests()


@shared_task(name="notifications.forget_old")
def forget(**_: object) -> None:
    forget_old()
