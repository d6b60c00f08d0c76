"""The tests' own database keeps its promises."""

import os

import psycopg
import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql

from crm.observability.health import check_tenancy
from tests.plugins.database import KEPT, admin_url, ensure_template, reset_database
from tests.plugins.slots import claim_slot


def test_tests_run_as_the_runtime_login(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("salesmagnet", settings.DATABASES["default"]["NAME"])
    check_tenancy()


def test_a_process_keeps_its_slot():
    assert {claim_slot(), claim_slot()} == {settings.TEST_SLOT}
    assert os.environ["REDIS_URL"].endswith(f"/{settings.TEST_SLOT}")
    assert settings.DATABASES["default"]["NAME"] == f"salesmagnet_test_{settings.TEST_SLOT}"


def test_template_is_built_once(db):
    assert ensure_template() == ensure_template()


def kept_rows() -> dict[str, int]:
    """How many rows each table holds that was not empty after the migrations."""
    with psycopg.connect(admin_url(database=settings.DATABASES["default"]["NAME"])) as admin:
        tables = [row[0] for row in admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [KEPT]).fetchall()]
        counts = (admin.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))).fetchone() for table in tables)
        return {table: count[0] for table, count in zip(tables, counts, strict=True) if count}


@pytest.mark.slow
def test_what_a_test_commits_is_undone(committed_db):
    before = kept_rows()
    Session.objects.create(session_key="committed", session_data="", expire_date=timezone.now())
    with psycopg.connect(admin_url(database=settings.DATABASES["default"]["NAME"])) as elsewhere:
        assert elsewhere.execute("SELECT session_key FROM django_session").fetchall() == [("committed",)]
    reset_database()
    assert not Session.objects.exists()
    assert kept_rows() == before


@pytest.mark.slow
def test_a_transaction_left_open_does_not_hold_up_the_rest(committed_db):
    transaction.set_autocommit(False)
    Session.objects.create(session_key="left open", session_data="", expire_date=timezone.now())
    reset_database()
    assert not Session.objects.exists()
