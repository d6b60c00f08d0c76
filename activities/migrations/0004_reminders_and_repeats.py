"""How long before the date people are reminded, kept beside the moment; and a mark on recurring steps that the database closed."""

from importlib import import_module

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


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
        occurred_at = now(), remind_at = NULL, snoozed_until = NULL, updated_at = now(),
        awaits_next = a.recurrence <> '' AND n.last_contact_at IS DISTINCT FROM o.last_contact_at
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE n.id = ANY (moved) AND n.next_follow_up_at IS NULL
      AND a.tenant_id = n.tenant_id AND a.lead_id = n.id AND a.status = 'pending' AND a.activity_type IN {_STEPS} AND a.due_at IS NOT NULL;
    -- Set: the first step moves there, or one is made.
    UPDATE activities_activity AS a
    SET due_at = n.next_follow_up_at, snoozed_until = NULL, updated_at = now(),
        -- As `Activity.reminder` has it, and by the distance where only a moment was given.
        remind_at = CASE
            WHEN a.remind_before IS NOT NULL THEN nullif(n.next_follow_up_at - make_interval(mins => a.remind_before), a.reminded_for)
            WHEN a.snoozed_until IS NULL THEN a.remind_at + (n.next_follow_up_at - a.due_at) END
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

_FOLLOW_LEAD_BEFORE: str = import_module("activities.migrations.0002_follow_ups_and_counts")._FOLLOW_LEAD
# How long before the date people are reminded was known by the moment alone.
_FILL = """
UPDATE activities_activity
SET remind_before = greatest(round(extract(epoch FROM due_at - coalesce(remind_at, reminded_for)) / 60), 0)
WHERE status = 'pending' AND due_at IS NOT NULL AND coalesce(remind_at, reminded_for) IS NOT NULL AND snoozed_until IS NULL;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('activities', '0003_calendar'),
        ('leads', '0011_words_by_own_share'),
        ('tenancy', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='activity',
            name='changed_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='activity',
            name='deleted_delete',
        ),
        migrations.AddField(
            model_name='activity',
            name='awaits_next',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name='activity',
            name='remind_before',
            field=models.IntegerField(blank=True, null=True, verbose_name='minutes before'),
        ),
        migrations.AddField(
            model_name='activityhistory',
            name='remind_before',
            field=models.IntegerField(blank=True, null=True, verbose_name='minutes before'),
        ),
        migrations.AddIndex(
            model_name='activity',
            index=models.Index(condition=models.Q(('awaits_next', True)), fields=['tenant', 'lead', 'id'], name='activities_awaiting_next'),
        ),
        migrations.RunSQL(_FILL, reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(_FOLLOW_LEAD, reverse_sql=_FOLLOW_LEAD_BEFORE),
        pgtrigger.migrations.AddTrigger(
            model_name='activity',
            trigger=pgtrigger.compiler.Trigger(name='changed_update', sql=pgtrigger.compiler.UpsertTriggerSql(func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "activities_activityhistory" ("activity_type", "attendees", "completed_at", "created_at", "created_by_id", "created_via", "description", "due_at", "duration", "id", "lead_id", "location", "notes", "occurred_at", "operation_id", "outcome", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority", "recurrence", "remind_at", "remind_before", "series", "snoozed_until", "status", "tenant_id", "user_id") SELECT old_values."activity_type", old_values."attendees", old_values."completed_at", old_values."created_at", old_values."created_by_id", old_values."created_via", old_values."description", old_values."due_at", old_values."duration", old_values."id", old_values."lead_id", old_values."location", old_values."notes", old_values."occurred_at", old_values."operation_id", old_values."outcome", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'changed\', old_values."id", old_values."priority", old_values."recurrence", old_values."remind_at", old_values."remind_before", old_values."series", old_values."snoozed_until", old_values."status", old_values."tenant_id", old_values."user_id" FROM ( SELECT old_values.* FROM old_values JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."activity_type" IS DISTINCT FROM (new_values."activity_type") OR old_values."attendees" IS DISTINCT FROM (new_values."attendees") OR old_values."completed_at" IS DISTINCT FROM (new_values."completed_at") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."created_by_id" IS DISTINCT FROM (new_values."created_by_id") OR old_values."created_via" IS DISTINCT FROM (new_values."created_via") OR old_values."description" IS DISTINCT FROM (new_values."description") OR old_values."due_at" IS DISTINCT FROM (new_values."due_at") OR old_values."duration" IS DISTINCT FROM (new_values."duration") OR old_values."id" IS DISTINCT FROM (new_values."id") OR old_values."lead_id" IS DISTINCT FROM (new_values."lead_id") OR old_values."location" IS DISTINCT FROM (new_values."location") OR old_values."notes" IS DISTINCT FROM (new_values."notes") OR old_values."occurred_at" IS DISTINCT FROM (new_values."occurred_at") OR old_values."operation_id" IS DISTINCT FROM (new_values."operation_id") OR old_values."outcome" IS DISTINCT FROM (new_values."outcome") OR old_values."priority" IS DISTINCT FROM (new_values."priority") OR old_values."recurrence" IS DISTINCT FROM (new_values."recurrence") OR old_values."remind_at" IS DISTINCT FROM (new_values."remind_at") OR old_values."remind_before" IS DISTINCT FROM (new_values."remind_before") OR old_values."series" IS DISTINCT FROM (new_values."series") OR old_values."snoozed_until" IS DISTINCT FROM (new_values."snoozed_until") OR old_values."status" IS DISTINCT FROM (new_values."status") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."user_id" IS DISTINCT FROM (new_values."user_id")) ) AS old_values, _pgh_attached_context; RETURN NULL;', hash='680dc8cca56c72ccef023686ea711b4f7d479ce6', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_changed_update_40651', referencing='REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ', table='activities_activity', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='activity',
            trigger=pgtrigger.compiler.Trigger(name='deleted_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='WITH _pgh_attached_context AS ( SELECT _pgh_attach_context() AS value ) INSERT INTO "activities_activityhistory" ("activity_type", "attendees", "completed_at", "created_at", "created_by_id", "created_via", "description", "due_at", "duration", "id", "lead_id", "location", "notes", "occurred_at", "operation_id", "outcome", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "priority", "recurrence", "remind_at", "remind_before", "series", "snoozed_until", "status", "tenant_id", "user_id") SELECT old_values."activity_type", old_values."attendees", old_values."completed_at", old_values."created_at", old_values."created_by_id", old_values."created_via", old_values."description", old_values."due_at", old_values."duration", old_values."id", old_values."lead_id", old_values."location", old_values."notes", old_values."occurred_at", old_values."operation_id", old_values."outcome", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, NOW(), \'deleted\', old_values."id", old_values."priority", old_values."recurrence", old_values."remind_at", old_values."remind_before", old_values."series", old_values."snoozed_until", old_values."status", old_values."tenant_id", old_values."user_id" FROM ( SELECT old_values.* FROM old_values  ) AS old_values, _pgh_attached_context; RETURN NULL;', hash='684ffbb1fd5a4198707502a298096adc3027a3ba', level='STATEMENT', operation='DELETE', pgid='pgtrigger_deleted_delete_0495d', referencing='REFERENCING OLD TABLE AS old_values ', table='activities_activity', when='AFTER')),
        ),
    ]
