"""The open tenant: one context variable for the ORM and one transaction-local setting for the database's policies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from django.db import connections, transaction

from crm.actors import Actor


class NoTenantOpen(RuntimeError):
    """A tenant-owned model was used outside `tenant_scope()`: a bug, never an empty answer."""


class WrongTenant(RuntimeError):
    """A row or a scope of one tenant was used inside another's: a bug, never a refusal for users."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is known about the work in progress. History rows carry all of it."""

    tenant_id: int
    actor: Actor | None = None
    request_id: str = ""
    operation_id: int | None = None
    # What was loaded once for the work in progress, such as the tenant's statuses. Gone with the scope.
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def history_context(self) -> str:
        actor = self.actor
        facts = {
            "user": actor.user_id if actor else None,
            "actor": actor.label if actor else "system",
            "door": str(actor.door) if actor else "task",
            "request": self.request_id or None,
            "operation": self.operation_id,
        }
        return json.dumps({key: value for key, value in facts.items() if value is not None})


_scope: ContextVar[Scope | None] = ContextVar("crm_tenant_scope", default=None)


def current_scope() -> Scope:
    """The open scope. Raises NoTenantOpen outside one."""
    scope = _scope.get()
    if scope is None:
        raise NoTenantOpen("No tenant is open. Wrap the work in tenant_scope(tenant_id).")
    return scope


def scope_or_none() -> Scope | None:
    return _scope.get()


def current_tenant_id() -> int:
    """The open tenant's id. Raises NoTenantOpen outside a scope."""
    return current_scope().tenant_id


@contextmanager
def tenant_scope(
    tenant_id: int, *, by: Actor | None = None, request_id: str = "", operation_id: int | None = None, using: str = "default"
) -> Iterator[Scope]:
    """Open a tenant for one transaction: commit on leaving, roll back on an exception.

    A nested scope joins the outer one's transaction as a savepoint, inherits what it does not name, and must be of the
    same tenant. The database setting is transaction-local, so it cannot leak through a connection pool.
    """
    outer = _scope.get()
    if outer is not None:
        if outer.tenant_id != tenant_id:
            raise WrongTenant(f"Tenant {outer.tenant_id} is open; {tenant_id} was asked for.")
        by, request_id, operation_id = by or outer.actor, request_id or outer.request_id, operation_id or outer.operation_id
    memo = outer.memo if outer is not None else {}
    scope = Scope(tenant_id=tenant_id, actor=by, request_id=request_id, operation_id=operation_id, memo=memo)
    nested = connections[using].in_atomic_block
    token = _scope.set(scope)
    try:
        with transaction.atomic(using=using), structlog.contextvars.bound_contextvars(tenant_id=tenant_id):
            _announce(scope, using)
            yield scope
            if nested and not connections[using].needs_rollback:
                # The setting lives until the outer transaction ends, so a scope inside one gives back what it found.
                # After an exception, and where the work was marked to be undone, the savepoint's roll-back does the same.
                _announce(outer, using)
    finally:
        _scope.reset(token)


def _announce(scope: Scope | None, using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT set_config('crm.tenant_id', %s, true), set_config('pghistory.context_metadata', %s, true)",
            [str(scope.tenant_id) if scope else "", scope.history_context() if scope else ""],
        )


def act_as(actor: Actor, *, using: str = "default") -> None:
    """Name the actor of the open scope, once known: loading an actor's access itself needs the tenant open."""
    scope = replace(current_scope(), actor=actor)
    _scope.set(scope)
    _announce(scope, using)
