"""The demo's team keeps most of its promises, and its bells are quiet."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from activities.services.reminders import tell_overdue
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from pipeline.enums import SlaState
from pipeline.models import SlaClock

pytestmark = pytest.mark.django_db


def test_most_promises_are_kept_and_nobody_is_told_of_what_is_long_overdue():
    call_command("load_demo")
    now = timezone.now()
    for tenant in Tenant.objects.all():
        with tenant_scope(tenant.pk):
            ended = SlaClock.objects.filter(ended_at__isnull=False)
            running = SlaClock.objects.filter(ended_at=None)
            met, missed = ended.filter(state=SlaState.MET).count(), ended.filter(state=SlaState.BREACHED).count()
            late = running.filter(due_at__lte=now).count()
            assert 0.85 < met / (met + missed) < 0.99
            assert missed > 0
            assert met > 4 * (missed + late)
    assert tell_overdue(now=now) == 0
