"""Prove the second wall on a running install: policies, keys, indexes and what a tenant really sees. Reads only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.db import connections, transaction
from django.db.models import Model
from psycopg import sql

from crm.tenancy.models import Tenant
from crm.tenancy.walls import CONDITION, POLICY, UNPOLICED, UnsafeLogin, refuse_unsafe_login, spanning_keys, tenant_models

# Most rows of others that a probe goes on to count: one is too many.
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one table, or the login, was found to be. `problems` is empty where all is well."""

    subject: str
    problems: tuple[str, ...] = ()
    probed: bool = False


def inspect_walls(*, tenant_ids: Sequence[int] = (), using: str = "default") -> list[Finding]:
    """Look at the login and at every tenant-owned table. Rows are probed as each of the tenants named, and as nobody."""
    return [
        _login(using),
        *_tables(tenant_ids, using),
        *_strays(using),
    ]


def some_tenants(*, most: int, using: str = "default") -> list[int]:
    """The tenants to probe as: the first and the last ones."""
    ids = list(Tenant.objects.using(using).order_by("pk").values_list("pk", flat=True)[:most])
    last = Tenant.objects.using(using).order_by("-pk").values_list("pk", flat=True).first()
    return sorted({*ids, *([last] if last else [])})


def _login(using: str) -> Finding:
    try:
        refuse_unsafe_login(using=using)
    except UnsafeLogin as refusal:
        return Finding(subject="runtime login", problems=(str(refusal),))
    return Finding(subject="runtime login")


def _tables(tenant_ids: Sequence[int], using: str) -> Iterator[Finding]:
    enabled, policies, constraints = _row_security(using), _policies(using), _foreign_keys(using)
    for model in sorted(tenant_models(), key=lambda item: item._meta.db_table):
        table = model._meta.db_table
        keys = [f"no key spans tenant and {column}" for name, column, _ in spanning_keys(model) if (table, name[:63]) not in constraints]
        if model._meta.label in UNPOLICED:
            yield Finding(subject=table, problems=tuple(keys))
            continue
        problems = [*_problems_of_policy(table, enabled, policies), *keys, *_seen_by_others(table, tenant_ids, using)]
        yield Finding(subject=table, problems=tuple(problems), probed=True)


def _problems_of_policy(table: str, enabled: dict[str, tuple[bool, bool]], policies: dict[str, list[tuple[str, ...]]]) -> Iterator[str]:
    if table not in enabled:
        yield "the table is not there: run migrate"
        return
    if not enabled[table][0]:
        yield "row-level security is off"
    expected = [(POLICY, "PERMISSIVE", "{public}", "ALL", CONDITION, CONDITION)]
    if policies.get(table, []) != expected:
        yield f"policies are not exactly the tenant wall: {policies.get(table, [])}"


def _seen_by_others(table: str, tenant_ids: Sequence[int], using: str) -> Iterator[str]:
    """Count what must not be seen: with no tenant open any row, with one open the rows of others."""
    for tenant_id in (None, *tenant_ids):
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('crm.tenant_id', %s, true)", [str(tenant_id or "")])
            condition = sql.SQL("WHERE tenant_id <> {}").format(sql.Literal(tenant_id)) if tenant_id else sql.SQL("")
            cursor.execute(
                sql.SQL("SELECT count(*) FROM (SELECT FROM {} {} LIMIT {}) AS seen").format(
                    sql.Identifier(table), condition, sql.Literal(_MOST)
                )
            )
            seen = cursor.fetchone()[0]
            transaction.set_rollback(True, using=using)
        if seen:
            whom = f"tenant {tenant_id} sees rows of others" if tenant_id else "rows are seen with no tenant open"
            yield f"{whom} ({seen}{'+' if seen == _MOST else ''})"


def _strays(using: str) -> Iterator[Finding]:
    """Tables with a tenant that no model knows: left behind by something, and guarded by nothing."""
    known = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped"
            " WHERE c.relkind IN ('r', 'p', 'm', 'v') AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        names = [row[0] for row in cursor.fetchall()]
    for name in names:
        if name not in known:
            yield Finding(subject=name, problems=("has a tenant_id and belongs to no model",))


def unled_indexes(*, using: str = "default") -> list[tuple[str, str]]:
    """Secondary indexes and unique keys of tenant-owned tables that do not lead with the tenant: (model, index)."""
    by_table: dict[str, type[Model]] = {model._meta.db_table: model for model in tenant_models()}
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT t.relname, i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
            " LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]"
            " WHERE t.relname = ANY(%s) AND t.relnamespace = 'public'::regnamespace AND NOT x.indisprimary"
            " AND a.attname IS DISTINCT FROM 'tenant_id' ORDER BY 1, 2",
            [list(by_table)],
        )
        return [(by_table[table]._meta.label, index) for table, index in cursor.fetchall()]


def _row_security(using: str) -> dict[str, tuple[bool, bool]]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        return {name: (on, forced) for name, on, forced in cursor.fetchall()}


def _policies(using: str) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2")
        for table, *policy in cursor.fetchall():
            found.setdefault(table, []).append(tuple(policy))
    return found


def _foreign_keys(using: str) -> set[tuple[str, str]]:
    """The validated foreign keys of two columns, as (table, constraint)."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT t.relname, c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
            " WHERE c.contype = 'f' AND c.convalidated AND cardinality(c.conkey) = 2"
        )
        return set(cursor.fetchall())
