"""The ledger of counts, kept by statement triggers, and the search functions of the owner."""

from django.db import migrations

_FACETS = "tenant_id, status_id, owner_id, priority, lead_source"

_COUNTS = f"""
CREATE OR REPLACE FUNCTION leads_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO leads_leadcount ({_FACETS}, leads)
        SELECT {_FACETS}, count(*) FROM new_rows WHERE deleted_at IS NULL GROUP BY {_FACETS};
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO leads_leadcount ({_FACETS}, leads)
        SELECT {_FACETS}, -count(*) FROM old_rows WHERE deleted_at IS NULL GROUP BY {_FACETS};
    ELSE
        INSERT INTO leads_leadcount ({_FACETS}, leads)
        SELECT {_FACETS}, sum(change) FROM (
            SELECT {_FACETS}, 1 AS change FROM new_rows WHERE deleted_at IS NULL
            UNION ALL
            SELECT {_FACETS}, -1 FROM old_rows WHERE deleted_at IS NULL
        ) AS moved GROUP BY {_FACETS} HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER leads_count_insert AFTER INSERT ON leads_lead
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION leads_count();
CREATE TRIGGER leads_count_update AFTER UPDATE ON leads_lead
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION leads_count();
CREATE TRIGGER leads_count_delete AFTER DELETE ON leads_lead
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION leads_count();
"""

# Text and array operators are not leakproof, so under the policies they lose their index. These functions run as the
# owner, filter by the open tenant themselves, and answer ids only; everything else stays under the policies. More ids
# than asked for answer NULL: then so many rows match that walking the sorted list finds them soon.
def _ids_function(name: str, argument: str, condition: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION {name}({argument}, most integer) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    tenant bigint := NULLIF(current_setting('crm.tenant_id', true), '')::bigint;
    plan json;
    ids bigint[];
BEGIN
    -- EXPLAIN wants a volatile function. Statistics tell frequent words at once; collecting their rows only to find them too many would cost the most.
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM leads_lead WHERE tenant_id = %L AND {condition.replace("wanted", "%L")}', tenant, wanted)
    INTO plan;
    -- A word the statistics do not know is guessed at two in a hundred rows; only what is above that is known to be frequent.
    IF (plan -> 0 -> 'Plan' ->> 'Plan Rows')::float
        > greatest(most, (SELECT reltuples FROM pg_class WHERE oid = 'leads_lead'::regclass) * 0.025) THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(id) INTO ids
    FROM (SELECT id FROM leads_lead WHERE tenant_id = tenant AND {condition} LIMIT most + 1) AS found;
    RETURN CASE WHEN coalesce(cardinality(ids), 0) > most THEN NULL ELSE coalesce(ids, '{{}}') END;
END $$;
"""


def _count_function(name: str, argument: str, condition: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION {name}({argument}, mine bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    tenant bigint := NULLIF(current_setting('crm.tenant_id', true), '')::bigint;
BEGIN
    -- With `mine`, only that owner's and the unassigned.
    RETURN (SELECT count(*) FROM leads_lead WHERE tenant_id = tenant AND deleted_at IS NULL AND {condition}
            AND (mine IS NULL OR owner_id = mine OR owner_id IS NULL));
END $$;
"""


_FUNCTIONS = (
    ("leads_search_{}", "wanted tsquery", "search @@ wanted::tsquery"),
    ("leads_tagged_{}", "wanted varchar[]", "tags @> wanted::varchar[]"),
)
_SEARCH = "".join(
    _ids_function(name.format("ids"), argument, condition) + _count_function(name.format("count"), argument, condition)
    for name, argument, condition in _FUNCTIONS
)
_UNSEARCH = (
    "DROP FUNCTION leads_search_ids(tsquery, integer); DROP FUNCTION leads_tagged_ids(varchar[], integer);"
    "DROP FUNCTION leads_search_count(tsquery, bigint); DROP FUNCTION leads_tagged_count(varchar[], bigint);"
)


class Migration(migrations.Migration):
    dependencies = [("leads", "0001_initial")]

    operations = [
        migrations.RunSQL(
            _COUNTS,
            reverse_sql="DROP TRIGGER leads_count_insert ON leads_lead; DROP TRIGGER leads_count_update ON leads_lead; "
            "DROP TRIGGER leads_count_delete ON leads_lead; DROP FUNCTION leads_count();",
        ),
        migrations.RunSQL(_SEARCH, reverse_sql=_UNSEARCH),
        # Below a hundred known words PostgreSQL does not estimate prefixes at all; a larger sample knows enough of them.
        migrations.RunSQL("ALTER TABLE leads_lead ALTER COLUMN search SET STATISTICS 400", reverse_sql=migrations.RunSQL.noop),
    ]
