"""Tags and further fields wait in their index's list as words do, and the background task sorts them in as well."""

from django.db import migrations

_INDEXES = ("leads_search", "leads_tags", "leads_custom_fields")
_FLUSH = "CREATE OR REPLACE FUNCTION leads_flush_search() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS "


def _flushing(*indexes: str) -> str:
    return f"{_FLUSH} $$ SELECT {' + '.join(f'gin_clean_pending_list({chr(39)}{name}{chr(39)}::regclass)' for name in indexes)} $$;"


class Migration(migrations.Migration):
    dependencies = [("leads", "0008_custom_fields_found")]

    operations = [
        migrations.RunSQL(
            "ALTER INDEX leads_tags SET (gin_pending_list_limit = 16384);"
            "ALTER INDEX leads_custom_fields SET (gin_pending_list_limit = 16384);" + _flushing(*_INDEXES),
            reverse_sql="ALTER INDEX leads_tags RESET (gin_pending_list_limit);"
            "ALTER INDEX leads_custom_fields RESET (gin_pending_list_limit);" + _flushing(*_INDEXES[:2]),
        ),
    ]
