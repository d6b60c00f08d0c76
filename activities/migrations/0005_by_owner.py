"""A third ledger: how many activities hang on the live leads of each owner, which is what somebody without sight of all leads sees.

The owner is the lead's, so both tables feed it. A lead's row is held by whoever writes activities of it, as the services do anyway:
else an activity and a new owner written at the same time would miss each other. `activities_by_owner_lead` goes before
`activities_follow_lead` by its name: it moves the activities as they stand, what that changes of them is counted after.
"""

import django.db.models.deletion
from django.db import migrations, models

_CELL = "owner_id, user_id, activity_type, priority, status"
_OF_ACTIVITY = "tenant_id, id, lead_id, user_id, activity_type, priority, status"
_OF_LEAD = "tenant_id, id, coalesce(owner_id, 0) AS owner_id, deleted_at IS NULL AS is_live"


def _changes(rows: str, change: str) -> str:
    """Activities under the owners that their leads have now."""
    return f"""
        SELECT r.tenant_id, coalesce(lead.owner_id, 0) AS owner_id, coalesce(r.user_id, 0) AS user_id, r.activity_type, r.priority, r.status,
               {change} AS change
        FROM {rows} AS r JOIN leads_lead AS lead ON lead.tenant_id = r.tenant_id AND lead.id = r.lead_id
        WHERE lead.deleted_at IS NULL"""


def _noted(changes: str) -> str:
    return f"""
        INSERT INTO activities_ownercount (tenant_id, {_CELL}, activities, is_folded)
        SELECT tenant_id, {_CELL}, sum(change), false FROM ({changes}) AS changes GROUP BY tenant_id, {_CELL} HAVING sum(change) <> 0;"""


def _held(leads: str) -> str:
    return f"PERFORM FROM leads_lead AS lead WHERE lead.id IN ({leads}) ORDER BY lead.id FOR NO KEY UPDATE;"


_NEW, _OLD = (f"(SELECT {_OF_ACTIVITY} FROM {one} EXCEPT SELECT {_OF_ACTIVITY} FROM {other})" for one, other in (
    ("new_rows", "old_rows"), ("old_rows", "new_rows"),
))  # fmt: skip
_LEAD_NEW, _LEAD_OLD = (f"(SELECT {_OF_LEAD} FROM {one} EXCEPT SELECT {_OF_LEAD} FROM {other})" for one, other in (
    ("new_rows", "old_rows"), ("old_rows", "new_rows"),
))  # fmt: skip


def _of_leads(leads: str, change: str) -> str:
    return f"""
        SELECT a.tenant_id, lead.owner_id, coalesce(a.user_id, 0) AS user_id, a.activity_type, a.priority, a.status, {change} AS change
        FROM {leads} AS lead JOIN activities_activity AS a ON a.tenant_id = lead.tenant_id AND a.lead_id = lead.id WHERE lead.is_live"""


_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION activities_by_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        {_held("SELECT lead_id FROM new_rows")}
        {_noted(_changes("new_rows", "1"))}
    ELSIF TG_OP = 'DELETE' THEN
        {_held("SELECT lead_id FROM old_rows")}
        {_noted(_changes("old_rows", "-1"))}
    ELSE
        SELECT array_agg(DISTINCT lead_id) INTO touched FROM (
            SELECT lead_id FROM {_NEW} AS after_it UNION ALL SELECT lead_id FROM {_OLD} AS before_it
        ) AS differing;
        IF touched IS NOT NULL THEN
            {_held("SELECT unnest(touched)")}
            {_noted(_changes(_NEW, "1") + " UNION ALL " + _changes(_OLD, "-1"))}
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION activities_by_owner_lead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        {_noted(_of_leads(f"(SELECT {_OF_LEAD} FROM old_rows)", "-1"))}
    ELSIF EXISTS (SELECT FROM {_LEAD_NEW} AS differing) THEN
        {_noted(_of_leads(_LEAD_NEW, "1") + " UNION ALL " + _of_leads(_LEAD_OLD, "-1"))}
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION activities_recount_owners(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Whoever has written activities but not yet their counts is waited for.
    LOCK TABLE activities_ownercount IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM activities_ownercount WHERE tenant_id = wanted;
    INSERT INTO activities_ownercount (tenant_id, {_CELL}, activities, is_folded)
    SELECT a.tenant_id, coalesce(lead.owner_id, 0), coalesce(a.user_id, 0), a.activity_type, a.priority, a.status, count(*), true
    FROM activities_activity AS a JOIN leads_lead AS lead ON lead.tenant_id = a.tenant_id AND lead.id = a.lead_id
    WHERE a.tenant_id = wanted AND lead.deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6;
END $$;
"""
_BOTH = "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"
_TRIGGERS = "".join(
    f"CREATE TRIGGER {function}_{event.lower()} AFTER {event} ON {table} {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n"
    for function, table, event, tables in (
        ("activities_by_owner", "activities_activity", "INSERT", "REFERENCING NEW TABLE AS new_rows"),
        ("activities_by_owner", "activities_activity", "UPDATE", _BOTH),
        ("activities_by_owner", "activities_activity", "DELETE", "REFERENCING OLD TABLE AS old_rows"),
        ("activities_by_owner_lead", "leads_lead", "UPDATE", _BOTH),
        ("activities_by_owner_lead", "leads_lead", "DELETE", "REFERENCING OLD TABLE AS old_rows"),
    )
)
_UNDO = """
DROP FUNCTION activities_by_owner() CASCADE; DROP FUNCTION activities_by_owner_lead() CASCADE; DROP FUNCTION activities_recount_owners(bigint);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('activities', '0004_reminders_and_repeats'),
        ('leads', '0011_words_by_own_share'),
        ('tenancy', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='OwnerCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('owner_id', models.BigIntegerField()),
                ('user_id', models.BigIntegerField()),
                ('activity_type', models.CharField(max_length=13)),
                ('priority', models.PositiveSmallIntegerField()),
                ('status', models.CharField(max_length=9)),
                ('activities', models.BigIntegerField()),
                ('is_folded', models.BooleanField(default=False)),
                ('tenant', models.ForeignKey(db_index=False, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.tenant')),
            ],
            options={
                'indexes': [models.Index(fields=['tenant', 'owner_id'], include=('user_id', 'activity_type', 'priority', 'status', 'activities'), name='activities_owners'), models.Index(condition=models.Q(('is_folded', False)), fields=['tenant', 'id'], name='activities_owners_new')],
            },
        ),
        migrations.RunSQL(_FUNCTIONS, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGERS, reverse_sql=_UNDO),
        migrations.RunSQL("SELECT activities_recount_owners(id) FROM tenancy_tenant", reverse_sql=migrations.RunSQL.noop),
        # Else the first figures are planned for an empty table, until the database comes by.
        migrations.RunSQL("ANALYZE activities_ownercount; ANALYZE activities_activity", reverse_sql=migrations.RunSQL.noop),
    ]
