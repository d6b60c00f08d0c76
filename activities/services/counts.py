"""The ledgers of counts: read their sums, keep them short, and prove them."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from activities.models import OwnerCount, PriorityCount, TypeCount
from activities.permissions import VIEW
from crm.actors import Actor
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from leads.permissions import SEE_ALL

FOLD_ABOVE = 500

_FOLD = """
WITH days AS (
    SELECT DISTINCT day FROM {table} WHERE tenant_id = %(tenant)s AND NOT is_folded
), gone AS (
    DELETE FROM {table} WHERE tenant_id = %(tenant)s AND day IN (SELECT day FROM days) RETURNING day, user_id, {facet}, status, activities
)
INSERT INTO {table} (tenant_id, day, user_id, {facet}, status, activities, is_folded)
SELECT %(tenant)s, day, user_id, {facet}, status, sum(activities), true FROM gone GROUP BY day, user_id, {facet}, status HAVING sum(activities) <> 0
"""
_LEDGERS: tuple[tuple[type[TypeCount | PriorityCount], str], ...] = ((TypeCount, "activity_type"), (PriorityCount, "priority"))

# The obvious way to count, to prove the ledger by.
_DIFFERENCES = """
SELECT count(*) FROM (
    SELECT day, user_id, {facet}, status, sum(n) FROM (
        SELECT day, user_id, {facet}, status, activities AS n FROM {table} WHERE tenant_id = %(tenant)s
        UNION ALL
        SELECT (a.created_at AT TIME ZONE t.time_zone)::date, a.user_id, a.{facet}, a.status, -1
        FROM activities_activity AS a JOIN tenancy_tenant AS t ON t.id = a.tenant_id WHERE a.tenant_id = %(tenant)s
    ) AS both_ways GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0
) AS wrong
"""

_OWNER_KEY = ("owner_id", "user_id", "activity_type", "priority", "status")
_FOLD_OWNERS = f"""
WITH fresh AS (
    DELETE FROM activities_ownercount WHERE tenant_id = %(tenant)s AND NOT is_folded RETURNING {", ".join(_OWNER_KEY)}, activities
), cells AS (
    SELECT DISTINCT {", ".join(_OWNER_KEY)} FROM fresh
), old AS (
    DELETE FROM activities_ownercount AS kept USING cells
    WHERE kept.tenant_id = %(tenant)s AND kept.is_folded AND {" AND ".join(f"kept.{name} = cells.{name}" for name in _OWNER_KEY)}
    RETURNING {", ".join(f"kept.{name}" for name in _OWNER_KEY)}, kept.activities
)
INSERT INTO activities_ownercount (tenant_id, {", ".join(_OWNER_KEY)}, activities, is_folded)
SELECT %(tenant)s, {", ".join(_OWNER_KEY)}, sum(activities), true FROM (SELECT * FROM fresh UNION ALL SELECT * FROM old) AS both_rows
GROUP BY {", ".join(_OWNER_KEY)} HAVING sum(activities) <> 0
"""  # noqa: S608 -- our own names
_OWNER_DIFFERENCES = """
SELECT count(*) FROM (
    SELECT owner_id, user_id, activity_type, priority, status, sum(n) FROM (
        SELECT owner_id, user_id, activity_type, priority, status, activities AS n FROM activities_ownercount WHERE tenant_id = %(tenant)s
        UNION ALL
        SELECT coalesce(lead.owner_id, 0), coalesce(a.user_id, 0), a.activity_type, a.priority, a.status, -1
        FROM activities_activity AS a JOIN leads_lead AS lead ON lead.tenant_id = a.tenant_id AND lead.id = a.lead_id
        WHERE a.tenant_id = %(tenant)s AND lead.deleted_at IS NULL
    ) AS both_ways GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0
) AS wrong
"""


def compact_counts() -> int:
    """Fold the days of each tenant's ledger that got new rows. Sums are the same before, during and after."""
    folded = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            for ledger, facet in _LEDGERS:
                if ledger.objects.filter(is_folded=False)[: FOLD_ABOVE + 1].count() > FOLD_ABOVE:
                    folded += _fold(_FOLD.format(table=ledger._meta.db_table, facet=facet))
            if OwnerCount.objects.filter(is_folded=False)[: FOLD_ABOVE + 1].count() > FOLD_ABOVE:
                folded += _fold(_FOLD_OWNERS)
    return folded


def _fold(statement: str) -> int:
    # One folder at a time for a tenant: two would delete the same rows, and the second would wait for nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(7406, %s)", [current_tenant_id() % (2**31 - 1)])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, {"tenant": current_tenant_id()})
    return 1


def wrong_counts() -> int:
    """In how many cells the open tenant's ledgers differ from its activities. Always none."""
    with connection.cursor() as cursor:
        found = 0
        for ledger, facet in _LEDGERS:
            cursor.execute(_DIFFERENCES.format(table=ledger._meta.db_table, facet=facet), {"tenant": current_tenant_id()})
            found += cursor.fetchone()[0]
        cursor.execute(_OWNER_DIFFERENCES, {"tenant": current_tenant_id()})
        found += cursor.fetchone()[0]
    return found


def recount() -> None:
    """Make the open tenant's ledgers anew from its activities."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT activities_recount(%(tenant)s), activities_recount_owners(%(tenant)s)", {"tenant": current_tenant_id()})


# --- sums ---


def sums(
    *,
    ledger: type[TypeCount | PriorityCount],
    facets: Sequence[str],
    user_id: int | None,
    since: date | None,
    until: date | None,
    by: Actor,
) -> list[dict[str, Any]]:
    """The ledger's sums by some of its facets, of activities recorded on days from `since` to `until`, both whole.

    Everybody's for who sees all leads, or one person's where named; for others their own.
    """
    by.require(VIEW)
    if user_id is not None and not by.can(SEE_ALL) and user_id != by.user_id:
        return []
    rows: QuerySet[Any] = ledger.objects.all()
    person = user_id if by.can(SEE_ALL) else by.user_id
    within = Q()
    if person is not None:
        within &= Q(user_id=person)
    if since is not None:
        within &= Q(day__gte=since)
    if until is not None:
        within &= Q(day__lte=until)
    return [row for row in rows.filter(within).order_by().values(*facets).annotate(n=Sum("activities")) if row["n"]]
