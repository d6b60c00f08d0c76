"""The ledgers of calls: keep them short, prove them, make them anew."""

from django.db import connection

from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from dialer.models import AgentCount, CallCount, ReachCount

FOLD_ABOVE = 500

_FOLD = """
WITH days AS (
    SELECT DISTINCT day FROM {table} WHERE tenant_id = %(tenant)s AND NOT is_folded
), gone AS (
    DELETE FROM {table} WHERE tenant_id = %(tenant)s AND day IN (SELECT day FROM days) RETURNING {keys}, {measures}
)
INSERT INTO {table} (tenant_id, {keys}, {measures}, is_folded)
SELECT %(tenant)s, {keys}, {sums}, true FROM gone GROUP BY {keys} HAVING {some}
"""
# The obvious way to count, to prove the ledgers by.
_DIFFERENCES = """
SELECT count(*) FROM (
    SELECT 1 FROM (
        SELECT {keys}, {measures} FROM {table} WHERE tenant_id = %(tenant)s
        UNION ALL
        SELECT {counted}, {taken} FROM dialer_call AS r JOIN tenancy_tenant AS t ON t.id = r.tenant_id
        WHERE r.tenant_id = %(tenant)s AND r.ended_at IS NOT NULL AND r.outcome <> ''
    ) AS both_ways GROUP BY {keys} HAVING {some}
) AS wrong
"""
_DAY = "(r.created_at AT TIME ZONE t.time_zone)::date AS day"
# By model: the facets, how a call has them, and what is summed.
_LEDGERS: tuple[tuple[type[CallCount | AgentCount | ReachCount], str, str, dict[str, str]], ...] = (
    (
        CallCount,
        "day, agent_id, user_id, result",
        f"{_DAY}, r.agent_id, r.user_id, r.result",
        {"calls": "1", "seconds": "r.duration_seconds"},
    ),
    (AgentCount, "day, agent_id, result", f"{_DAY}, r.agent_id, r.result", {"calls": "1", "seconds": "r.duration_seconds"}),
    (
        ReachCount,
        "day, agent_id, previous_day",
        f"{_DAY}, r.agent_id, (r.previous_at AT TIME ZONE t.time_zone)::date AS previous_day",
        {"calls": "1"},
    ),
)


def _filled(text: str, table: str, keys: str, counted: str, measures: dict[str, str]) -> str:
    return text.format(
        table=table,
        keys=keys,
        counted=counted,
        measures=", ".join(measures),
        sums=", ".join(f"sum({name})" for name in measures),
        taken=", ".join(f"-({value})::bigint" for value in measures.values()),
        some=" OR ".join(f"sum({name}) <> 0" for name in measures),
    )


def compact_counts() -> int:
    """Fold the days of each tenant's ledgers that got new rows. Sums are the same before, during and after."""
    folded = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            for ledger, keys, counted, measures in _LEDGERS:
                if ledger.objects.filter(is_folded=False)[: FOLD_ABOVE + 1].count() > FOLD_ABOVE:
                    folded += _fold(_filled(_FOLD, ledger._meta.db_table, keys, counted, measures))
    return folded


def _fold(statement: str) -> int:
    # One folder at a time for a tenant: two would delete the same rows, and the second would wait for nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(7416, %s)", [current_tenant_id() % (2**31 - 1)])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, {"tenant": current_tenant_id()})
    return 1


def wrong_counts() -> int:
    """In how many cells the open tenant's ledgers differ from its calls. Always none."""
    found = 0
    with connection.cursor() as cursor:
        for ledger, keys, counted, measures in _LEDGERS:
            cursor.execute(_filled(_DIFFERENCES, ledger._meta.db_table, keys, counted, measures), {"tenant": current_tenant_id()})
            found += cursor.fetchone()[0]
    return found


def recount() -> None:
    """Make the open tenant's ledgers anew from its calls."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dialer_recount(%s)", [current_tenant_id()])
