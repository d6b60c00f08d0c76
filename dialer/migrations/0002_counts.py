"""The ledgers of calls, kept by statement triggers: whoever writes a call, they are exact inside the same transaction.

Counted are calls that are over and were placed, on the day they were made in the tenant's zone.
"""

from django.db import migrations

_COUNTED = "r.ended_at IS NOT NULL AND r.outcome <> ''"
_DAY = "(r.created_at AT TIME ZONE t.time_zone)::date"
_PREVIOUS = "(r.previous_at AT TIME ZONE t.time_zone)::date"
_LEDGERS = (
    ("dialer_callcount", "day, agent_id, user_id, result", f"{_DAY} AS day, r.agent_id, r.user_id, r.result", ("1", "r.duration_seconds"), "calls, seconds"),
    ("dialer_reachcount", "day, agent_id, previous_day", f"{_DAY} AS day, r.agent_id, {_PREVIOUS} AS previous_day", ("1",), "calls"),
)  # fmt: skip


def _written(table: str, keys: str, counted: str, measures: tuple[str, ...], columns: str) -> str:
    def rows(source: str, sign: str) -> str:
        values = ", ".join(f"{sign}{measure} AS m{number}" for number, measure in enumerate(measures))
        return (
            f"SELECT r.tenant_id, {counted}, {values} FROM {source} AS r JOIN tenancy_tenant AS t ON t.id = r.tenant_id WHERE {_COUNTED}"
        )

    sums = ", ".join(f"sum(m{number})" for number in range(len(measures)))
    some = " OR ".join(f"sum(m{number}) <> 0" for number in range(len(measures)))

    def insert(source: str) -> str:
        return (
            f"INSERT INTO {table} (tenant_id, {keys}, {columns}, is_folded) "
            f"SELECT tenant_id, {keys}, {sums}, false FROM ({source}) AS c GROUP BY tenant_id, {keys} HAVING {some};"
        )

    return f"""
    IF TG_OP = 'INSERT' THEN
        {insert(rows("new_rows", ""))}
    ELSIF TG_OP = 'DELETE' THEN
        {insert(rows("old_rows", "-"))}
    ELSE
        {insert(rows("new_rows", "") + " UNION ALL " + rows("old_rows", "-"))}
    END IF;
"""


def _recounted(table: str, keys: str, counted: str, measures: tuple[str, ...], columns: str) -> str:
    sums = ", ".join(f"sum({measure})" for measure in measures)
    groups = ", ".join(str(number) for number in range(1, len(keys.split(",")) + 2))
    return f"""
    DELETE FROM {table} WHERE tenant_id = wanted;
    INSERT INTO {table} (tenant_id, {keys}, {columns}, is_folded)
    SELECT r.tenant_id, {counted}, {sums}, true FROM dialer_call AS r JOIN tenancy_tenant AS t ON t.id = r.tenant_id
    WHERE r.tenant_id = wanted AND {_COUNTED} GROUP BY {groups};
"""


_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION dialer_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Shared among writers; a recount holds it alone, so that none counts a day by the zone before.
    PERFORM pg_advisory_xact_lock_shared(7415, (NULLIF(current_setting('crm.tenant_id', true), '')::bigint % 2147483647)::int);
    {"".join(_written(*ledger) for ledger in _LEDGERS)}
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION dialer_recount(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7415, (wanted % 2147483647)::int);
    {"".join(_recounted(*ledger) for ledger in _LEDGERS)}
END $$;

CREATE OR REPLACE FUNCTION dialer_zone_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dialer_recount(NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER dialer_count_insert AFTER INSERT ON dialer_call
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION dialer_count();
CREATE TRIGGER dialer_count_update AFTER UPDATE ON dialer_call
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION dialer_count();
CREATE TRIGGER dialer_count_delete AFTER DELETE ON dialer_call
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION dialer_count();
CREATE TRIGGER dialer_zone_changed AFTER UPDATE OF time_zone ON tenancy_tenant FOR EACH ROW
    WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone) EXECUTE FUNCTION dialer_zone_changed();
"""
_UNDO = """
DROP TRIGGER dialer_zone_changed ON tenancy_tenant;
DROP FUNCTION dialer_count() CASCADE; DROP FUNCTION dialer_recount(bigint); DROP FUNCTION dialer_zone_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("dialer", "0001_initial")]

    operations = [migrations.RunSQL(_FUNCTIONS, reverse_sql=_UNDO)]
