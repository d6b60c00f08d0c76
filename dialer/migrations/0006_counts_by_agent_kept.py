"""The ledger of calls whoever called is kept by the same triggers as those of 0002."""

from importlib import import_module

from django.db import migrations

_before = import_module("dialer.migrations.0002_counts")
_AGENTS = ("dialer_agentcount", "day, agent_id, result", f"{_before._DAY} AS day, r.agent_id, r.result", ("1", "r.duration_seconds"), "calls, seconds")


def _functions(*ledgers: tuple[str, str, str, tuple[str, ...], str]) -> str:
    return f"""
CREATE OR REPLACE FUNCTION dialer_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Shared among writers; a recount holds it alone, so that none counts a day by the zone before.
    PERFORM pg_advisory_xact_lock_shared(7415, (NULLIF(current_setting('crm.tenant_id', true), '')::bigint % 2147483647)::int);
    {"".join(_before._written(*ledger) for ledger in ledgers)}
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION dialer_recount(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7415, (wanted % 2147483647)::int);
    {"".join(_before._recounted(*ledger) for ledger in ledgers)}
END $$;
"""


_FILL = """
DELETE FROM dialer_agentcount;
INSERT INTO dialer_agentcount (tenant_id, day, agent_id, result, calls, seconds, is_folded)
SELECT tenant_id, day, agent_id, result, sum(calls), sum(seconds), true FROM dialer_callcount GROUP BY 1, 2, 3, 4 HAVING sum(calls) <> 0;
"""


class Migration(migrations.Migration):
    dependencies = [("dialer", "0005_counts_by_agent")]

    operations = [migrations.RunSQL(_functions(*_before._LEDGERS, _AGENTS) + _FILL, reverse_sql=_functions(*_before._LEDGERS))]
