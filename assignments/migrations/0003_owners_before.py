"""The owners that leads had before their history was kept. The trigger stands already, so nobody need wait for this."""

from django.db import migrations

# Who gave them, and when exactly, is told by the history of leads for those changed since it is kept; here it is what the lead says.
_BACKFILL = """
INSERT INTO assignments_assignment (tenant_id, lead_id, assigned_user_id, at, reason, notes, door)
SELECT tenant_id, id, owner_id, coalesce(assigned_at, created_at), '', '', ''
FROM leads_lead WHERE owner_id IS NOT NULL
ON CONFLICT (tenant_id, lead_id) WHERE until IS NULL DO NOTHING
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("assignments", "0002_history_of_owners")]

    operations = [migrations.RunSQL(_BACKFILL, reverse_sql=migrations.RunSQL.noop)]
