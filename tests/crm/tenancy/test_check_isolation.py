"""`manage.py check_isolation` and the laying of the walls."""

import io
import re

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from psycopg import sql

from crm.tenancy.walls import POLICY, UnsafeLogin, refuse_unsafe_login
from tests.factories import make_lead, make_tenant
from tests.plugins.database import admin_url


def check(**options: object) -> str:
    out = io.StringIO()
    call_command("check_isolation", stdout=out, no_color=True, **options)
    return out.getvalue()


def test_command_lists_every_table_and_ends_well(tenant, next_door):
    make_lead(tenant)
    make_lead(next_door)
    text = check()
    assert "leads_lead " in text
    assert re.search(r"^identity_user +ok \(no policy, by design\)$", text, re.MULTILINE)
    assert text.rstrip().splitlines()[-1].startswith("All stands: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "mend", "told"),
    [
        (
            "ALTER TABLE leads_tag DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE leads_tag ENABLE ROW LEVEL SECURITY",
            "row-level security is off",
        ),
        ("CREATE POLICY leak ON leads_tag USING (true)", "DROP POLICY leak ON leads_tag", "policies are not exactly the tenant wall"),
        (
            "ALTER TABLE leads_leadshare RENAME CONSTRAINT leads_leadshare_lead_id_in_tenant TO x",
            "ALTER TABLE leads_leadshare RENAME CONSTRAINT x TO leads_leadshare_lead_id_in_tenant",
            "no key spans tenant and lead_id",
        ),
        ("CREATE TABLE left_behind (tenant_id bigint)", "DROP TABLE left_behind", "belongs to no model"),
    ],
)
def test_command_fails_and_says_where_the_hole_is(committed_db, harm, mend, told):
    tenant, other = make_tenant(), make_tenant()
    make_lead(tenant)
    out = io.StringIO()
    with psycopg.connect(admin_url(database=settings.DATABASES["default"]["NAME"]), autocommit=True) as admin:
        admin.execute(harm)
        try:
            with pytest.raises(CommandError, match="The wall has holes"):
                call_command("check_isolation", stdout=out, no_color=True, tenant=[tenant.pk, other.pk])
        finally:
            admin.execute(mend)
    assert told in out.getvalue()


@pytest.mark.slow
def test_command_sees_rows_of_others_where_a_policy_lets_them_through(committed_db):
    make_tenant(), make_tenant()
    out = io.StringIO()
    with psycopg.connect(admin_url(database=settings.DATABASES["default"]["NAME"]), autocommit=True) as admin:
        admin.execute("CREATE POLICY leak ON leads_leadstatus USING (true)")
        try:
            with pytest.raises(CommandError):
                call_command("check_isolation", stdout=out, no_color=True)
        finally:
            admin.execute("DROP POLICY leak ON leads_leadstatus")
    assert "rows are seen with no tenant open (16)" in out.getvalue()
    assert "sees rows of others (8)" in out.getvalue()


def test_a_login_that_could_step_over_the_wall_is_refused(db, monkeypatch):
    refuse_unsafe_login()
    for row in ((True, False, False), (False, True, False), (False, False, True)):

        class Cursor:
            def __enter__(self, row=row):
                self.row = row
                return self

            def __exit__(self, *_):
                return None

            def execute(self, *_):
                return None

            def fetchone(self):
                return self.row

        monkeypatch.setattr("crm.tenancy.walls.connections", {"default": type("C", (), {"cursor": staticmethod(Cursor)})()})
        with pytest.raises(UnsafeLogin):
            refuse_unsafe_login()


@pytest.mark.slow
def test_walls_are_laid_anew_after_migrate(committed_db):
    """A policy that was changed by hand is put right by the next migrate, and a second run changes nothing."""
    database = settings.DATABASES["default"]["NAME"]
    with psycopg.connect(admin_url(database=database), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP POLICY {} ON leads_tag").format(sql.Identifier(POLICY)))
        admin.execute(f"CREATE POLICY {POLICY} ON leads_tag USING (true)")
        _migrate_as_owner(database)
        (qual,) = admin.execute("SELECT qual FROM pg_policies WHERE tablename = 'leads_tag'").fetchone()
    assert "crm.tenant_id" in qual


def _migrate_as_owner(database: str) -> None:
    from tests.plugins.database import _migrate

    _migrate(database=database)
