"""Whoever changes a lead's owner, by whatever door, leaves a row: a statement trigger writes it."""

from django.db import migrations

# Services that know more say it in the transaction's setting `crm.assignment`: reason, notes, and for each lead the rule and the
# decision that gave it. Who acts is in the context that the history of all records uses.
_FUNCTION = """
CREATE OR REPLACE FUNCTION assignments_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said jsonb;
    context jsonb;
    moment timestamptz := clock_timestamp();
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM new_rows WHERE owner_id IS NOT NULL) THEN
            RETURN NULL;
        END IF;
    ELSIF NOT EXISTS (
        SELECT FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id WHERE n.owner_id IS DISTINCT FROM o.owner_id
    ) THEN
        RETURN NULL;
    END IF;
    said := coalesce(nullif(current_setting('crm.assignment', true), '')::jsonb, '{}');
    context := coalesce(nullif(current_setting('pghistory.context_metadata', true), '')::jsonb, '{}');
    IF TG_OP = 'INSERT' THEN
        INSERT INTO assignments_assignment
            (tenant_id, lead_id, assigned_user_id, assigned_by_id, at, reason, notes, door)
        SELECT tenant_id, id, owner_id, (context ->> 'user')::bigint, least(coalesce(assigned_at, moment), moment),
            coalesce(said ->> 'reason', ''), coalesce(said ->> 'notes', ''), coalesce(context ->> 'door', '')
        FROM new_rows WHERE owner_id IS NOT NULL;
        RETURN NULL;
    END IF;
    UPDATE assignments_assignment AS a SET until = moment
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE a.tenant_id = n.tenant_id AND a.lead_id = n.id AND a.until IS NULL AND n.owner_id IS DISTINCT FROM o.owner_id;
    INSERT INTO assignments_assignment
        (tenant_id, lead_id, assigned_user_id, assigned_by_id, previous_user_id, at, reason, notes, door, rule_id, decision_id)
    SELECT n.tenant_id, n.id, n.owner_id, (context ->> 'user')::bigint, o.owner_id, moment,
        coalesce(said ->> 'reason', ''), coalesce(said ->> 'notes', ''), coalesce(context ->> 'door', ''),
        (by_rule.value ->> 0)::bigint, (by_rule.value ->> 1)::bigint
    FROM new_rows AS n
    JOIN old_rows AS o ON o.id = n.id
    LEFT JOIN jsonb_each(said -> 'leads') AS by_rule ON by_rule.key = n.id::text
    WHERE n.owner_id IS DISTINCT FROM o.owner_id;
    DELETE FROM assignments_catchallentry AS waiting USING new_rows AS n
    WHERE waiting.tenant_id = n.tenant_id AND waiting.lead_id = n.id AND n.owner_id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER assignments_record_insert AFTER INSERT ON leads_lead
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assignments_record();
CREATE TRIGGER assignments_record_update AFTER UPDATE ON leads_lead
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assignments_record();
"""


class Migration(migrations.Migration):
    dependencies = [("assignments", "0001_initial"), ("leads", "0009_pending_words")]

    operations = [
        migrations.RunSQL(
            _FUNCTION,
            reverse_sql="DROP TRIGGER assignments_record_insert ON leads_lead; DROP TRIGGER assignments_record_update ON leads_lead; "
            "DROP FUNCTION assignments_record();",
        ),
    ]
