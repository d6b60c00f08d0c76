import json

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client

from crm.observability import health
from crm.observability.health import NotReady, check_migrations, check_tenancy
from crm.tenancy.walls import MAY_BYPASS

FINE = {"broker": "ok", "database": "ok", "migrations": "ok", "tenancy": "ok"}


@pytest.fixture(autouse=True)
def forget_migrations():
    health._migrations_applied.cache_clear()
    yield
    health._migrations_applied.cache_clear()


def test_live_asks_nobody(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        answer = Client().get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_ready_when_every_part_is_there(db):
    answer = Client().get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": FINE})


def test_health_is_read_only(db):
    assert Client().post("/health/ready").status_code == 405


@pytest.mark.parametrize(
    ("check", "failure"),
    [("database", OperationalError("gone")), ("broker", redis.ConnectionError("gone")), ("tenancy", NotReady("gone"))],
)
def test_not_ready_names_the_missing_part_and_no_reason(rf, db, monkeypatch, check, failure):
    def fail() -> None:
        raise failure

    monkeypatch.setitem(health.CHECKS, check, fail)
    answer = health.ready(rf.get("/health/ready"))
    assert (answer.status_code, json.loads(answer.content)) == (503, {"status": "unavailable", "checks": {**FINE, check: "failed"}})


def test_a_missing_migration_is_not_ready_until_it_is_applied(db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'contenttypes' AND name LIKE '0002%%' RETURNING app, name, applied")
        row = cursor.fetchone()
        with pytest.raises(NotReady):
            check_migrations()
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row)
    check_migrations()


def test_the_runtime_login_is_held_by_the_policies(db):
    check_tenancy()


@pytest.mark.slow
def test_a_login_that_passes_every_policy_is_not_ready(db, monkeypatch):
    """As the owner and as a superuser the same question is answered the other way."""
    import os
    from urllib.parse import urlsplit

    import psycopg

    database = connection.settings_dict["NAME"]
    with psycopg.connect(urlsplit(os.environ["DATABASE_ADMIN_URL"])._replace(path=f"/{database}").geturl()) as admin:
        assert admin.execute(MAY_BYPASS).fetchone() == (True,)
        admin.execute("SET ROLE salesmagnet_owner")
        assert admin.execute(MAY_BYPASS).fetchone() == (True,)
        admin.execute("SET ROLE salesmagnet")
        assert admin.execute(MAY_BYPASS).fetchone() == (False,)
