"""The tests' database: a template built once by the migrations, cloned for every process, used as the runtime login.

Row-level security is therefore on in every test, as in production. `DATABASE_ADMIN_URL` belongs to this file alone.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql
from pytest_django import DjangoDbBlocker

from crm.embedded.bootstrap import create_database, prepare_database
from crm.embedded.startup import files_hash, schema_files
from tests.plugins.slots import VAR

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "salesmagnet_template_"
# Rows the migrations made, to be put back after a test that commits.
KEPT = "kept"


class TemplateFailed(RuntimeError):
    """The migrations did not run through."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the template before any worker starts, so that broken migrations are told once and clearly."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    try:
        ensure_template()
    except TemplateFailed as failure:
        pytest.exit(str(failure), returncode=3)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Give this process a database of its own and an empty Valkey database."""
    clone = settings.DATABASES["default"]["NAME"]
    template = ensure_template()
    with psycopg.connect(admin_url(), autocommit=True) as admin:
        _drop(admin, name=clone)
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER salesmagnet_owner TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(clone), sql.Identifier(template)
            )
        )
    prepare_database(admin_url=admin_url(database=clone))
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        valkey.flushdb()
    yield
    with django_db_blocker.unblock():
        connections.close_all()
    with psycopg.connect(admin_url(), autocommit=True) as admin:
        _drop(admin, name=clone)


@pytest.fixture
def committed_db(transactional_db: None) -> None:
    """Let the test commit, for what happens at or after a commit, or between two connections. Everything is undone afterwards."""


def admin_url(*, database: str = "postgres") -> str:
    return urlsplit(os.environ["DATABASE_ADMIN_URL"])._replace(path=f"/{database}").geturl()


def ensure_template() -> str:
    """Return the template that fits the migrations as they are, and build it if this is the first process to ask."""
    name = TEMPLATE + files_hash([*schema_files(), Path(__file__)])
    with (VAR / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(admin_url(), autocommit=True) as admin:
            databases = [row[0] for row in admin.execute("SELECT datname FROM pg_database").fetchall()]
            if name in databases:
                return name
            for stale in databases:
                if stale.startswith(TEMPLATE):
                    _drop(admin, name=stale)
            draft = f"{TEMPLATE}draft"
            create_database(admin, name=draft)
            prepare_database(admin_url=admin_url(database=draft))
            _migrate(database=draft)
            _keep_rows(database=draft)
            admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(name)))
    return name


def _migrate(*, database: str) -> None:
    """Run the migrations as production does: by the command, as the owner."""
    owner_url = urlsplit(os.environ["DATABASE_OWNER_URL"])._replace(path=f"/{database}").geturl()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "crm.settings", "DATABASE_URL": owner_url, "DATABASE_OWNER_URL": owner_url}
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0", "--no-input", "--skip-checks"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise TemplateFailed(f"The test database could not be migrated.\n{done.stdout}{done.stderr}")


def _keep_rows(*, database: str) -> None:
    """Copy the rows the migrations made into a schema beside the real one."""
    with psycopg.connect(admin_url(database=database), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(KEPT)))
        for table in _tables(admin, schema="public"):
            source = sql.Identifier("public", table)
            if admin.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(source)).fetchone():
                admin.execute(sql.SQL("CREATE TABLE {} AS TABLE {}").format(sql.Identifier(KEPT, table), source))


def _tables(admin: psycopg.Connection, *, schema: str) -> list[str]:
    return [row[0] for row in admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema]).fetchall()]


# Run by the superuser with triggers off: no history is written, and no order between the tables is needed.
RESET = """
DO $reset$
DECLARE
    name text;
    columns text;
    filled boolean;
BEGIN
    SET LOCAL session_replication_role = replica;
    SET LOCAL lock_timeout = '10s';
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO filled;
        IF filled THEN
            EXECUTE format('DELETE FROM public.%I', name);
        END IF;
    END LOOP;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept'
        AND tablename NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
    LOOP
        SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
            WHERE attrelid = format('public.%I', name)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
        EXECUTE format('INSERT INTO public.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM kept.%I', name, columns, columns, name);
    END LOOP;
END
$reset$
"""


def reset_database() -> None:
    """Bring this process's database back to what the migrations left."""
    connections.close_all()
    database = settings.DATABASES["default"]["NAME"]
    with psycopg.connect(admin_url(database=database), autocommit=True) as admin:
        # A thread or a server a test left behind may still hold a transaction open.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        admin.execute(RESET)
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        valkey.flushdb()


def _reset_after_commits(case: TransactionTestCase) -> None:
    """Stand in for Django's flush, which truncates tables: the runtime login may not."""
    reset_database()


TransactionTestCase._fixture_teardown = _reset_after_commits  # type: ignore[method-assign]


def _drop(admin: psycopg.Connection, *, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
