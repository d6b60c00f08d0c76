"""Celery entry points of activities."""

from celery import shared_task

from activities.services import counts, reminders
from activities.services.invitations import MAIL_TASK, mail_invitations
from crm.events import nudge


@shared_task(name="activities.compact_counts")
def compact_activity_counts(**_: object) -> None:
    counts.compact_counts()


@shared_task(name="activities.remind_due")
def remind_due(**_: object) -> None:
    reminders.remind_due()


@shared_task(name="activities.tell_overdue")
def tell_overdue(**_: object) -> None:
    reminders.tell_overdue()


@shared_task(name=MAIL_TASK)
def mail_invitations_due(**_: object) -> None:
    nudge.starting(MAIL_TASK)
    mail_invitations()
