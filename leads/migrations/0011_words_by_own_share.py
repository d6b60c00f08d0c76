"""A word's frequency is judged by the tenant's own leads, of which some are looked at.

Several large tenants in one table had made each other's frequent words look rare. Where a tenant holds much of the table, its
own index entry is as long as the table and is left out of the search.
"""

from importlib import import_module

from django.db import migrations

_before = import_module("leads.migrations.0002_counts_and_search")

_FUNCTIONS = {
    "leads_search_ids": ("wanted tsquery", "search @@ wanted::tsquery", "search"),
    "leads_tagged_ids": ("wanted varchar[]", "tags @> wanted::varchar[]", "tags"),
    "leads_custom_ids": ("wanted jsonb", "custom_fields @> wanted::jsonb", "custom_fields"),
}


def _ids_function(name: str, argument: str, condition: str, column: str) -> str:
    explained = condition.replace("wanted", "%L")
    return f"""
CREATE OR REPLACE FUNCTION {name}({argument}, most integer) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    tenant bigint := NULLIF(current_setting('crm.tenant_id', true), '')::bigint;
    plan json;
    matching float;
    own float;
    whole float;
    ids bigint[];
BEGIN
    -- EXPLAIN wants a volatile function. Statistics tell frequent words at once; collecting their rows only to find them too many
    -- would cost the most.
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM leads_lead WHERE tenant_id = %L AND {explained}', tenant, wanted) INTO plan;
    matching := (plan -> 0 -> 'Plan' ->> 'Plan Rows')::float;
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM leads_lead WHERE tenant_id = %L', tenant) INTO plan;
    own := (plan -> 0 -> 'Plan' ->> 'Plan Rows')::float;
    -- A word the statistics do not know is guessed at two in a hundred rows; only what is above that is known to be frequent.
    IF matching > greatest(most, own * 0.025) THEN
        RETURN NULL;
    END IF;
    IF own > 2 * most THEN
        -- Statistics know no prefix below two in a hundred, nor which words come together: a thousand leads from all over the
        -- tenant's tell more. What fifteen of them hold is met soon on the walk.
        IF (SELECT count(*) >= 15
            FROM (SELECT min(id) AS first, max(id) AS last FROM leads_lead WHERE tenant_id = tenant) AS ends
            CROSS JOIN generate_series(0, 19) AS part
            CROSS JOIN LATERAL (SELECT {column} FROM leads_lead WHERE tenant_id = tenant AND id >= first + (last - first) * part / 20
                                ORDER BY id LIMIT 50) AS sample
            WHERE {condition}) THEN
            RETURN NULL;
        END IF;
    END IF;
    SELECT greatest(reltuples, 1) INTO whole FROM pg_class WHERE oid = 'leads_lead'::regclass;
    IF own > whole * 0.2 THEN
        SELECT array_agg(id) INTO ids
        FROM (SELECT id FROM leads_lead WHERE tenant_id + 0 = tenant AND {condition} LIMIT most + 1) AS found;
    ELSE
        SELECT array_agg(id) INTO ids
        FROM (SELECT id FROM leads_lead WHERE tenant_id = tenant AND {condition} LIMIT most + 1) AS found;
    END IF;
    RETURN CASE WHEN coalesce(cardinality(ids), 0) > most THEN NULL ELSE coalesce(ids, '{{}}') END;
END $$;
"""  # noqa: S608 -- the parts are the constants above


class Migration(migrations.Migration):
    dependencies = [("leads", "0010_transitions_ask")]

    operations = [
        migrations.RunSQL(
            "".join(_ids_function(name, *parts) for name, parts in _FUNCTIONS.items()),
            reverse_sql="".join(_before._ids_function(name, *parts[:2]) for name, parts in _FUNCTIONS.items()),
        ),
    ]
