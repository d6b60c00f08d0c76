"""What the database keeps true of activities, whoever writes: a lead's next follow-up, and the ledger of counts.

Both directions of the next follow-up are statement triggers, so imports, bulk work, undo and merges keep it as single edits do:

* `activities_next_of_lead`: a lead's date is the earliest of its pending activities.
* `activities_follow_lead`: a date that somebody sets on a lead moves its next step, or makes one; a date that is taken away
  closes the steps; a lead's open work goes with it from owner to owner.

Each writes only where something is different, so that the two come to rest after one turn.
"""

from django.db import migrations

_NEXT_OF_LEAD = """
CREATE OR REPLACE FUNCTION activities_next_of_lead() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tenants bigint[];
    leads bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(tenant_id), array_agg(lead_id) INTO tenants, leads FROM (
            SELECT DISTINCT tenant_id, lead_id FROM new_rows WHERE status = 'pending' AND due_at IS NOT NULL
        ) AS touched;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(tenant_id), array_agg(lead_id) INTO tenants, leads FROM (
            SELECT DISTINCT tenant_id, lead_id FROM old_rows WHERE status = 'pending' AND due_at IS NOT NULL
        ) AS touched;
    ELSE
        SELECT array_agg(tenant_id), array_agg(lead_id) INTO tenants, leads FROM (
            SELECT DISTINCT n.tenant_id, either.lead_id
            FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id CROSS JOIN LATERAL (VALUES (n.lead_id), (o.lead_id)) AS either (lead_id)
            WHERE ROW(n.lead_id, n.status, n.due_at) IS DISTINCT FROM ROW(o.lead_id, o.status, o.due_at)
              AND ((n.status = 'pending' AND n.due_at IS NOT NULL) OR (o.status = 'pending' AND o.due_at IS NOT NULL))
        ) AS touched;
    END IF;
    IF leads IS NOT NULL THEN
        UPDATE leads_lead AS lead SET next_follow_up_at = next.due_at
        FROM (
            SELECT touched.tenant_id, touched.lead_id, (
                SELECT min(a.due_at) FROM activities_activity AS a
                WHERE a.tenant_id = touched.tenant_id AND a.lead_id = touched.lead_id AND a.status = 'pending'
            ) AS due_at
            FROM unnest(tenants, leads) AS touched (tenant_id, lead_id)
        ) AS next
        WHERE lead.tenant_id = next.tenant_id AND lead.id = next.lead_id AND lead.next_follow_up_at IS DISTINCT FROM next.due_at;
    END IF;
    RETURN NULL;
END $$;
"""

_MADE_COLUMNS = (
    "tenant_id, lead_id, user_id, activity_type, description, priority, status, due_at, occurred_at, outcome, notes, location, attendees, "
    "recurrence, created_by_id, created_via, operation_id, created_at, updated_at"
)
_MADE_VALUES = (
    "n.tenant_id, n.id, n.owner_id, 'follow_up', '', n.priority, 'pending', n.next_follow_up_at, now(), '', '', '', '{}', '', "
    "(facts ->> 'user')::bigint, coalesce(facts ->> 'door', 'task'), (facts ->> 'operation')::bigint, now(), now()"
)
_STEPS = "('follow_up', 'call', 'email', 'sms')"

_FOLLOW_LEAD = f"""
CREATE OR REPLACE FUNCTION activities_follow_lead() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    facts jsonb := NULLIF(current_setting('pghistory.context_metadata', true), '')::jsonb;
    moved bigint[];
    given bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO activities_activity ({_MADE_COLUMNS})
        SELECT {_MADE_VALUES} FROM new_rows AS n WHERE n.next_follow_up_at IS NOT NULL;
        RETURN NULL;
    END IF;
    SELECT array_agg(n.id) FILTER (WHERE n.next_follow_up_at IS DISTINCT FROM o.next_follow_up_at),
           array_agg(n.id) FILTER (WHERE n.owner_id IS DISTINCT FROM o.owner_id)
    INTO moved, given
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE n.next_follow_up_at IS DISTINCT FROM o.next_follow_up_at OR n.owner_id IS DISTINCT FROM o.owner_id;
    IF given IS NOT NULL THEN
        UPDATE activities_activity AS a SET user_id = n.owner_id, updated_at = now()
        FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
        WHERE n.id = ANY (given) AND a.tenant_id = n.tenant_id AND a.lead_id = n.id AND a.status = 'pending'
          AND a.user_id IS NOT DISTINCT FROM o.owner_id;
    END IF;
    IF moved IS NULL THEN
        RETURN NULL;
    END IF;
    -- Taken away: the steps are done where the lead was contacted in the same breath, else they are given up.
    UPDATE activities_activity AS a
    SET status = CASE WHEN n.last_contact_at IS DISTINCT FROM o.last_contact_at THEN 'completed' ELSE 'cancelled' END,
        completed_at = CASE WHEN n.last_contact_at IS DISTINCT FROM o.last_contact_at THEN now() END,
        occurred_at = now(), remind_at = NULL, updated_at = now()
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE n.id = ANY (moved) AND n.next_follow_up_at IS NULL
      AND a.tenant_id = n.tenant_id AND a.lead_id = n.id AND a.status = 'pending' AND a.activity_type IN {_STEPS} AND a.due_at IS NOT NULL;
    -- Set: the first step moves there, or one is made.
    UPDATE activities_activity AS a
    SET due_at = n.next_follow_up_at, remind_at = a.remind_at + (n.next_follow_up_at - a.due_at), snoozed_until = NULL, updated_at = now()
    FROM new_rows AS n
    WHERE n.id = ANY (moved) AND n.next_follow_up_at IS NOT NULL
      AND n.next_follow_up_at IS DISTINCT FROM (
          SELECT min(p.due_at) FROM activities_activity AS p WHERE p.tenant_id = n.tenant_id AND p.lead_id = n.id AND p.status = 'pending')
      AND a.tenant_id = n.tenant_id AND a.lead_id = n.id AND a.id = (
          SELECT s.id FROM activities_activity AS s
          WHERE s.tenant_id = n.tenant_id AND s.lead_id = n.id AND s.status = 'pending' AND s.activity_type IN {_STEPS} AND s.due_at IS NOT NULL
          ORDER BY s.due_at, s.id LIMIT 1);
    INSERT INTO activities_activity ({_MADE_COLUMNS})
    SELECT {_MADE_VALUES} FROM new_rows AS n
    WHERE n.id = ANY (moved) AND n.next_follow_up_at IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM activities_activity AS s
          WHERE s.tenant_id = n.tenant_id AND s.lead_id = n.id AND s.status = 'pending' AND s.activity_type IN {_STEPS} AND s.due_at IS NOT NULL)
      AND n.next_follow_up_at IS DISTINCT FROM (
          SELECT min(p.due_at) FROM activities_activity AS p WHERE p.tenant_id = n.tenant_id AND p.lead_id = n.id AND p.status = 'pending');
    -- A task or meeting that comes first keeps its place: the lead shows it.
    UPDATE leads_lead AS lead SET next_follow_up_at = next.due_at
    FROM (
        SELECT n.tenant_id, n.id, (
            SELECT min(p.due_at) FROM activities_activity AS p WHERE p.tenant_id = n.tenant_id AND p.lead_id = n.id AND p.status = 'pending'
        ) AS due_at
        FROM new_rows AS n WHERE n.id = ANY (moved)
    ) AS next
    WHERE lead.tenant_id = next.tenant_id AND lead.id = next.id AND lead.next_follow_up_at IS DISTINCT FROM next.due_at;
    RETURN NULL;
END $$;
"""


def _ledger(table: str, facet: str) -> str:
    columns = f"tenant_id, day, user_id, {facet}, status"
    counted = f"SELECT r.tenant_id, (r.created_at AT TIME ZONE t.time_zone)::date AS day, r.user_id, r.{facet}, r.status"
    joined = "AS r JOIN tenancy_tenant AS t ON t.id = r.tenant_id"
    return f"""
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {table} ({columns}, activities, is_folded)
        SELECT {columns}, count(*), false FROM ({counted} FROM new_rows {joined}) AS c GROUP BY {columns};
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO {table} ({columns}, activities, is_folded)
        SELECT {columns}, -count(*), false FROM ({counted} FROM old_rows {joined}) AS c GROUP BY {columns};
    ELSE
        INSERT INTO {table} ({columns}, activities, is_folded)
        SELECT {columns}, sum(change), false FROM (
            {counted}, 1 AS change FROM new_rows {joined} UNION ALL {counted}, -1 FROM old_rows {joined}
        ) AS c GROUP BY {columns} HAVING sum(change) <> 0;
    END IF;
"""


def _recounted(table: str, facet: str) -> str:
    return f"""
    DELETE FROM {table} WHERE tenant_id = wanted;
    INSERT INTO {table} (tenant_id, day, user_id, {facet}, status, activities, is_folded)
    SELECT a.tenant_id, (a.created_at AT TIME ZONE zone)::date, a.user_id, a.{facet}, a.status, count(*), true
    FROM activities_activity AS a WHERE a.tenant_id = wanted GROUP BY 1, 2, 3, 4, 5;
"""


_LEDGERS = (("activities_typecount", "activity_type"), ("activities_prioritycount", "priority"))
_COUNTS = f"""
CREATE OR REPLACE FUNCTION activities_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Shared among writers; a recount holds it alone, so that none counts a day by the zone before.
    PERFORM pg_advisory_xact_lock_shared(7405, (NULLIF(current_setting('crm.tenant_id', true), '')::bigint % 2147483647)::int);
    {"".join(_ledger(*ledger) for ledger in _LEDGERS)}
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION activities_recount(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    zone text;
BEGIN
    PERFORM pg_advisory_xact_lock(7405, (wanted % 2147483647)::int);
    SELECT time_zone INTO zone FROM tenancy_tenant WHERE id = wanted;
    {"".join(_recounted(*ledger) for ledger in _LEDGERS)}
END $$;

CREATE OR REPLACE FUNCTION activities_zone_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM activities_recount(NEW.id);
    RETURN NULL;
END $$;
"""

# Leads that have a date from before get the step it stands for; then nothing is different, and the triggers start.
_FILL = f"""
INSERT INTO activities_activity ({_MADE_COLUMNS})
SELECT n.tenant_id, n.id, n.owner_id, 'follow_up', '', n.priority, 'pending', n.next_follow_up_at, now(), '', '', '', '{{}}', '',
       NULL, 'task', NULL, now(), now()
FROM leads_lead AS n WHERE n.next_follow_up_at IS NOT NULL;
"""


def _triggers(name: str, table: str, *, inserts: bool = True, deletes: bool = True) -> str:
    text = f"""
CREATE TRIGGER {name}_update AFTER UPDATE ON {table}
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""
    if inserts:
        text += f"CREATE TRIGGER {name}_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {name}();\n"
    if deletes:
        text += f"CREATE TRIGGER {name}_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION {name}();\n"
    return text


_TRIGGERS = (
    _triggers("activities_next_of_lead", "activities_activity")
    + _triggers("activities_follow_lead", "leads_lead", deletes=False)
    + _triggers("activities_count", "activities_activity")
    + "CREATE TRIGGER activities_zone_changed AFTER UPDATE OF time_zone ON tenancy_tenant FOR EACH ROW "
    "WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone) EXECUTE FUNCTION activities_zone_changed();"
)
_UNDO = """
DROP TRIGGER activities_zone_changed ON tenancy_tenant;
DROP FUNCTION activities_next_of_lead() CASCADE; DROP FUNCTION activities_follow_lead() CASCADE;
DROP FUNCTION activities_count() CASCADE; DROP FUNCTION activities_recount(bigint); DROP FUNCTION activities_zone_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("activities", "0001_initial")]

    operations = [
        migrations.RunSQL(_FILL, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(_NEXT_OF_LEAD + _FOLLOW_LEAD + _COUNTS, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGERS, reverse_sql=_UNDO),
        migrations.RunSQL("SELECT activities_recount(id) FROM tenancy_tenant", reverse_sql=migrations.RunSQL.noop),
    ]
