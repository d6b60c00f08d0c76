"""New words wait in the text index's list until a background task sorts them in, not until some insert must."""

from django.db import migrations

_FLUSH = """
ALTER INDEX leads_search SET (gin_pending_list_limit = 16384);
CREATE FUNCTION leads_flush_search() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT gin_clean_pending_list('leads_search'::regclass) + gin_clean_pending_list('leads_tags'::regclass)
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("leads", "0005_history_by_operation")]

    operations = [
        migrations.RunSQL(
            _FLUSH, reverse_sql="DROP FUNCTION leads_flush_search(); ALTER INDEX leads_search RESET (gin_pending_list_limit);"
        ),
    ]
