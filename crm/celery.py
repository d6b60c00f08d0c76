"""The Celery application. Tasks are doors: ids in, tenant scope opened, one service called."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
app = Celery("salesmagnet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def check_login(**_: Any) -> None:
    """Refuse to work with a database login that could step over the tenants' wall."""
    from crm.tenancy.walls import check_login_at_start

    check_login_at_start()
