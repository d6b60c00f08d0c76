"""Housekeeping of the lists: keep the ledger of counts short, and the text index sorted."""

from django.db import connection

from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from leads.models import LeadCount

FOLD_ABOVE = 200

_FOLD = """
WITH gone AS (
    DELETE FROM leads_leadcount WHERE tenant_id = %(tenant)s RETURNING status_id, owner_id, priority, lead_source, leads
)
INSERT INTO leads_leadcount (tenant_id, status_id, owner_id, priority, lead_source, leads)
SELECT %(tenant)s, status_id, owner_id, priority, lead_source, sum(leads)
FROM gone GROUP BY 1, 2, 3, 4, 5 HAVING sum(leads) <> 0
"""


def compact_counts() -> int:
    """Fold each tenant's ledger rows of equal facets into one. Sums are the same before, during and after."""
    folded = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            if LeadCount.objects.count() > FOLD_ABOVE + _cells():
                _fold()
                folded += 1
    return folded


def _cells() -> int:
    return LeadCount.objects.values("status_id", "owner_id", "priority", "lead_source").distinct().count()


def _fold() -> None:
    # One folder at a time for a tenant: two would delete the same rows, and the second would wait for nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, -1)", [current_tenant_id() % 2**31])
        if cursor.fetchone()[0]:
            cursor.execute(_FOLD, {"tenant": current_tenant_id()})


def flush_search() -> int:
    """Sort new words into the text index. Left alone, some insert would have to, and would wait a second for it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT leads_flush_search()")
        return int(cursor.fetchone()[0])
