"""Further fields are found as tags are: by a function of the owner, for `@>` may not be pushed below the policies."""

from importlib import import_module

from django.db import migrations

_functions = import_module("leads.migrations.0002_counts_and_search")
_PARTS = ("wanted jsonb", "custom_fields @> wanted::jsonb")


class Migration(migrations.Migration):
    dependencies = [("leads", "0007_indexes_with_facets")]

    operations = [
        migrations.RunSQL(
            _functions._ids_function("leads_custom_ids", *_PARTS) + _functions._count_function("leads_custom_count", *_PARTS),
            reverse_sql="DROP FUNCTION leads_custom_ids(jsonb, integer); DROP FUNCTION leads_custom_count(jsonb, bigint);",
        ),
    ]
