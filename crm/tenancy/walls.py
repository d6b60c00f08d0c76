"""The second wall: row-level policies and tenant-spanning foreign keys, laid on every tenant-owned table after migration.

Idempotent and derived from the models, so a new model cannot forget it; `check_isolation` proves it on a live install.
"""

from collections.abc import Iterable
from typing import Any

import structlog
from django.apps import apps
from django.db import OperationalError, connections
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Model
from psycopg import sql

from crm.tenancy.fields import TenantForeignKey

log = structlog.get_logger(__name__)

POLICY = "tenant_wall"
# The setting is read once per scan where it serves as an index key. Empty or unset matches no row and lets none be written.
CONDITION = "(tenant_id = (NULLIF(current_setting('crm.tenant_id'::text, true), ''::text))::bigint)"

# Tables of rows with a tenant that have no policy, each with its reason. `check_isolation` fails on any other.
UNPOLICED = {
    "identity.User": "a person is found by e-mail before any tenant is known; scoped by its manager",
    "identity.AuthSession": "a token's session is found before any tenant is known; holds no customer data",
    "identity.ApiKey": "a key's tenant is found by its hash; holds no customer data",
    "events.OutboxEntry": "delivered by workers across tenants; holds ids and event names",
    "operations.Claim": "lets workers find due operations of all tenants; holds ids",
    "leads.FormKey": "a web form's tenant is found by its key",
    "webhooks.SourceKey": "a source's tenant is found by its key; holds no customer data",
    "webhooks.ArrivalJob": "lets workers find waiting arrivals of all tenants; holds ids",
    "dialer.VoiceKey": "a telephone company's report is brought to its tenant by it",
    "dialer.AgentJob": "lets workers find the queues of all tenants that are dialled; holds ids",
    "dialer.SimulatedStep": "lets workers find due steps of simulated calls of all tenants; holds ids and words",
    "dialer.RecordingJob": "lets workers find recordings of all tenants that wait to be fetched; holds ids",
}


def tenant_models() -> list[type[Model]]:
    """Every concrete model with a tenant of its own, history models included."""
    return [
        model
        for model in apps.get_models()
        if any(field.name == "tenant" for field in model._meta.concrete_fields) and model._meta.managed and not model._meta.proxy
    ]


def policed_models() -> list[type[Model]]:
    return [model for model in tenant_models() if model._meta.label not in UNPOLICED]


def raise_walls(*, using: str = "default", **_: Any) -> None:
    """Lay what is missing. Runs after `migrate`, as the owner; a no-op when all stands."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename, qual, with_check FROM pg_policies WHERE policyname = %s", [POLICY])
        standing = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
        for model in policed_models():
            table = model._meta.db_table
            if table in tables and standing.get(table) != (CONDITION, CONDITION):
                _police(cursor, table)
    with connection.schema_editor(atomic=False) as editor:
        for model in tenant_models():
            if model._meta.db_table in tables:
                _bind_foreign_keys(editor, model, tables)


def _police(cursor: Any, table: str) -> None:
    name = sql.Identifier(table)
    condition = sql.SQL(CONDITION)
    cursor.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))
    cursor.execute(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(POLICY), name))
    cursor.execute(sql.SQL("CREATE POLICY {} ON {} USING {} WITH CHECK {}").format(sql.Identifier(POLICY), name, condition, condition))


def spanning_keys(model: type[Model]) -> Iterable[tuple[str, str, str]]:
    """Yield (constraint name, column, target table) of the keys that must span tenant and id. History keeps no constraints."""
    if hasattr(model, "pgh_tracked_model"):
        return
    for field in model._meta.concrete_fields:
        if isinstance(field, TenantForeignKey):
            yield f"{model._meta.db_table}_{field.column}_in_tenant", field.column, field.related_model._meta.db_table


def _bind_foreign_keys(editor: BaseDatabaseSchemaEditor, model: type[Model], tables: set[str]) -> None:
    quote = editor.quote_name
    table = model._meta.db_table
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE contype IN ('f', 'u')")
        standing = {row[0] for row in cursor.fetchall()}
        for name, column, target in spanning_keys(model):
            if target not in tables:
                continue
            key = f"{target}_tenant_id_id_key"
            if key not in standing:
                cursor.execute(f"ALTER TABLE {quote(target)} ADD CONSTRAINT {quote(key)} UNIQUE (tenant_id, id)")
                standing.add(key)
            if name[:63] not in standing:
                # NOT VALID first: a full table stays writable while its old rows are checked.
                cursor.execute(
                    f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(name[:63])} FOREIGN KEY (tenant_id, {quote(column)}) "
                    f"REFERENCES {quote(target)} (tenant_id, id) DEFERRABLE INITIALLY DEFERRED NOT VALID"
                )
                cursor.execute(f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(name[:63])}")


# A login passes every policy as superuser, by attribute, or as (a member of) a role that owns the policed tables.
MAY_BYPASS = """
SELECT rolsuper OR rolbypassrls OR EXISTS (
    SELECT FROM pg_class WHERE relrowsecurity AND relkind IN ('r', 'p') AND pg_has_role(current_user, relowner, 'MEMBER')
) FROM pg_roles WHERE rolname = current_user
"""


class UnsafeLogin(RuntimeError):
    """The runtime login could step over the policies."""


def refuse_unsafe_login(*, using: str = "default") -> None:
    """Refuse to serve with a login that is a superuser, bypasses row-level security, or owns the tables."""
    with connections[using].cursor() as cursor:
        cursor.execute(MAY_BYPASS)
        unsafe = cursor.fetchone() != (False,)
    if unsafe:
        raise UnsafeLogin(
            "DATABASE_URL names a login that can step over the tenants' wall (superuser, BYPASSRLS or table owner). "
            "Use the runtime login; keep the owner for DATABASE_OWNER_URL."
        )


def check_login_at_start() -> None:
    """Refuse an unsafe login when a process starts. A database that is away is said by `/health/ready`, not here."""
    try:
        refuse_unsafe_login()
    except OperationalError as error:
        log.warning("login_not_checked", error=str(error))
    finally:
        # The process may fork after this; a connection must not be shared.
        connections.close_all()
