"""Words and numbers by which calls and queue entries are found, and the functions of the owner that find them.

Under row-level security the database may not use the text index, so these functions filter by the open tenant themselves and
answer ids, times and counts only. What the asker may see and what else narrows the list are their arguments: whose queues
(none given: every queue), whose own calls, one agent, results or a status, and a span of time.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models

_VECTOR = """
CREATE FUNCTION dialer_search_vector(name text, phone text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple', public.crm_fold(name))
        || array_to_tsvector(ARRAY(
               SELECT DISTINCT token FROM unnest(ARRAY[digits, right(digits, 10), right(digits, 7), right(digits, 4)]) AS token
               WHERE token <> ''))
    FROM (SELECT regexp_replace(phone, '[^0-9]', '', 'g') AS digits) AS number
$$;
"""

_CALLS = """
    FROM dialer_call AS c
    WHERE c.tenant_id = tenant AND c.outcome <> '' AND c.search @@ wanted
        AND (agents IS NULL OR c.agent_id = ANY (agents) OR c.user_id = mine)
        AND (agent IS NULL OR c.agent_id = agent) AND (results IS NULL OR c.result = ANY (results))
        AND (since IS NULL OR c.created_at >= since) AND (until IS NULL OR c.created_at < until)
        AND (without IS NULL OR c.agent_id IS NULL OR c.agent_id <> ALL (without))
"""
_CALL_ARGUMENTS = (
    "wanted tsquery, agents bigint[], mine bigint, agent bigint, results varchar[], since timestamptz, until timestamptz, without bigint[]"
)
_ENTRIES = """
    FROM dialer_queueentry AS c
    WHERE c.tenant_id = tenant AND c.deleted_at IS NULL AND c.search @@ wanted
        AND (agents IS NULL OR c.agent_id = ANY (agents))
        AND (agent IS NULL OR c.agent_id = agent) AND (wanted_status IS NULL OR c.status = wanted_status)
"""
_ENTRY_ARGUMENTS = "wanted tsquery, agents bigint[], agent bigint, wanted_status varchar"
_HEAD = """LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    tenant bigint := NULLIF(current_setting('crm.tenant_id', true), '')::bigint;
BEGIN"""


def _functions(name: str, arguments: str, rows: str, order: str) -> str:
    """A few matches as they come, a page of the many in order, and their exact number."""
    return f"""
CREATE FUNCTION {name}_few({arguments}, most integer) RETURNS TABLE (id bigint, created_at timestamptz) {_HEAD}
    RETURN QUERY SELECT c.id, c.created_at {rows} LIMIT most;
END $$;
CREATE FUNCTION {name}_page({arguments}, skip integer, most integer) RETURNS TABLE (id bigint, created_at timestamptz) {_HEAD}
    RETURN QUERY SELECT c.id, c.created_at {rows} ORDER BY {order} OFFSET skip LIMIT most;
END $$;
CREATE FUNCTION {name}_count({arguments}) RETURNS bigint {_HEAD}
    RETURN (SELECT count(*) {rows});
END $$;
"""


def _dropped(name: str, arguments: str) -> str:
    kinds = ", ".join(argument.rsplit(" ", 1)[1] for argument in arguments.split(", "))
    return (
        f"DROP FUNCTION {name}_few({kinds}, integer); DROP FUNCTION {name}_page({kinds}, integer, integer); "
        f"DROP FUNCTION {name}_count({kinds});"
    )


def _search_field(name: str) -> models.GeneratedField:
    return models.GeneratedField(
        db_persist=True,
        expression=models.Func(name, "phone", function="dialer_search_vector"),
        output_field=django.contrib.postgres.search.SearchVectorField(),
    )


class Migration(migrations.Migration):
    dependencies = [("dialer", "0002_counts"), ("leads", "0001_initial")]

    operations = [
        migrations.RunSQL(_VECTOR, reverse_sql="DROP FUNCTION dialer_search_vector(text, text);"),
        migrations.AddField("queueentry", "search", _search_field("first_name")),
        migrations.AddField("call", "search", _search_field("lead_name")),
        migrations.AddIndex(
            "queueentry",
            django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("deleted_at", None)), fastupdate=False, fields=["tenant", "search"], name="dialer_entry_search"
            ),
        ),
        migrations.AddIndex(
            "call",
            django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("outcome", ""), _negated=True), fastupdate=False, fields=["tenant", "search"], name="dialer_call_search"
            ),
        ),
        migrations.RunSQL(
            _functions("dialer_calls", _CALL_ARGUMENTS, _CALLS, "c.created_at DESC, c.id DESC")
            + _functions("dialer_entries", _ENTRY_ARGUMENTS, _ENTRIES, "c.id DESC"),
            reverse_sql=_dropped("dialer_calls", _CALL_ARGUMENTS) + _dropped("dialer_entries", _ENTRY_ARGUMENTS),
        ),
        # As leads do: below a hundred known words PostgreSQL does not estimate prefixes at all.
        migrations.RunSQL(
            "ALTER TABLE dialer_call ALTER COLUMN search SET STATISTICS 400; "
            "ALTER TABLE dialer_queueentry ALTER COLUMN search SET STATISTICS 400;",
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
