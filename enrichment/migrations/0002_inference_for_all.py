"""Tenants that were there before have the built-in provider as new ones do."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("enrichment", "0001_initial"), ("tenancy", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            INSERT INTO enrichment_providersettings (tenant_id, kind, name, is_active, on_capture, position, options, secret, created_at)
            SELECT id, 'inference', 'Inference', true, true, 0, '{}', '', now() FROM tenancy_tenant
            ON CONFLICT DO NOTHING
            """,
            migrations.RunSQL.noop,
        ),
    ]
