"""Is the process alive, and can it do its work? For load balancers; no sign-in, and nothing to learn from the answer."""

from collections.abc import Callable
from functools import cache

import redis
import structlog
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from crm.tenancy.walls import UnsafeLogin, refuse_unsafe_login

log = structlog.get_logger(__name__)


class NotReady(Exception):
    """A part this process needs is missing."""


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part is there, else 503 with the names of those that are not. The reason goes to the log."""
    checks = {name: _passes(name=name, check=check) for name, check in CHECKS.items()}
    status = 200 if all(checks.values()) else 503
    body = {
        "status": "ok" if status == 200 else "unavailable",
        "checks": {name: "ok" if fine else "failed" for name, fine in checks.items()},
    }
    return JsonResponse(body, status=status)


def _passes(*, name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except (NotReady, Error, redis.RedisError) as reason:
        log.warning("not_ready", check=name, reason=str(reason))
        return False
    return True


def check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_tenancy() -> None:
    """Refuse a login that row-level security does not hold."""
    try:
        refuse_unsafe_login()
    except UnsafeLogin as reason:
        raise NotReady(str(reason)) from None


def check_migrations() -> None:
    if not _migrations_applied():
        _migrations_applied.cache_clear()
        raise NotReady("Migrations are missing.")


@cache
def _migrations_applied() -> bool:
    """Compare code and database once: what was applied stays applied while this process lives."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def check_broker() -> None:
    with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as broker:
        broker.ping()


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "tenancy": check_tenancy,
    "migrations": check_migrations,
    "broker": check_broker,
}
