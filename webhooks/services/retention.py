"""Forget what arrivals held once it has been read and has had its time."""

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope

BATCH = 5000
SETTING = "arrival_retention_days"

_FORGET = """
UPDATE leads_arrival SET payload = '{}' WHERE tenant_id = %(tenant)s AND id IN (
    SELECT id FROM leads_arrival
    WHERE tenant_id = %(tenant)s AND received_at < %(before)s AND processing_status = 'processed' AND payload <> '{}'
    ORDER BY received_at LIMIT %(most)s)
"""


def forget_payloads() -> int:
    """Empty the payloads of arrivals older than each tenant keeps them; the arrival itself, its ids and its lead stay.

    A tenant's own number of days stands in its settings as `arrival_retention_days`; 0 keeps everything. What failed or still
    waits is never emptied. Answers how many were.
    """
    forgotten = 0
    for tenant in Tenant.objects.all():
        days = tenant.settings.get(SETTING, settings.ARRIVAL_RETENTION_DAYS)
        if not isinstance(days, int) or days <= 0:
            continue
        before = timezone.now() - timedelta(days=days)
        while True:
            with tenant_scope(tenant.pk), connection.cursor() as cursor:
                cursor.execute(_FORGET, {"tenant": tenant.pk, "before": before, "most": BATCH})
                done = cursor.rowcount
            forgotten += done
            if done < BATCH:
                break
    return forgotten
