"""Ask for long work, and stop it."""

from datetime import timedelta
from typing import Any

from django.core.files import File
from django.db import transaction
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError, NotFound
from crm.operations.enums import State
from crm.operations.models import Claim, Operation, OperationRow
from crm.operations.runner import enqueue
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope

DRAFTS_KEPT = timedelta(days=14)


class AlreadyOver(DomainError):
    code = "ALREADY_OVER"


def start_operation(
    *,
    kind: str,
    title: str,
    params: dict[str, Any] | None = None,
    file: "File[bytes] | None" = None,
    total: int | None = None,
    undo_of: Operation | None = None,
    draft: bool = False,
    by: Actor,
) -> Operation:
    """Store the request and wake a worker after commit; a draft waits for `release_draft`.

    The file, where there is one, is stored under the tenant first.
    """
    operation = Operation(
        tenant_id=by.tenant_id,
        kind=kind,
        title=title[:200],
        params={**(params or {}), "door": str(by.door)},
        total=total,
        undo_of=undo_of,
        state=State.DRAFT if draft else State.WAITING,
        created_by_id=by.user_id,
    )
    if file is not None:
        operation.file.save(file.name or "upload", file, save=False)
    operation.save()
    if not draft:
        enqueue(operation)
    return operation


def release_draft(*, operation: Operation, by: Actor) -> Operation:
    """Let workers begin with a draft. Two at once start it once."""
    if operation.created_by_id != by.user_id:
        raise NotFound("No such draft.")
    if not Operation.objects.filter(pk=operation.pk, state=State.DRAFT).update(state=State.WAITING, params=operation.params):
        raise AlreadyOver("This was started already.")
    operation.refresh_from_db()
    enqueue(operation)
    return operation


def discard_draft(*, operation: Operation, by: Actor) -> None:
    """Delete a draft with its file. Other operations on that file are stopped, and forget the rows they kept of it."""
    if operation.created_by_id != by.user_id:
        raise NotFound("No such draft.")
    if not Operation.objects.filter(pk=operation.pk, state=State.DRAFT).delete()[0]:
        raise AlreadyOver("This was started already.")
    storage, name = operation.file.storage, operation.file.name
    if not name:
        return
    same_file = Operation.objects.filter(file=name, pk__gt=operation.pk)
    unfinished = same_file.filter(state__in=[State.WAITING, State.RUNNING])
    Claim.objects.filter(operation_id__in=list(unfinished.values_list("pk", flat=True))).delete()
    unfinished.update(state=State.CANCELLED, finished_at=timezone.now())
    OperationRow.objects.filter(operation__in=same_file).delete()
    transaction.on_commit(lambda: storage.delete(name))


def discard_old_drafts() -> int:
    """Delete the drafts that nobody went on with for DRAFTS_KEPT, in every tenant. Answers how many."""
    discarded = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            for draft in Operation.objects.filter(state=State.DRAFT, created_at__lt=timezone.now() - DRAFTS_KEPT):
                discard_draft(operation=draft, by=Actor(tenant_id=tenant_id, user_id=draft.created_by_id, label="system", door=Door.TASK))
                discarded += 1
    return discarded


def cancel_operation(*, operation: Operation, by: Actor) -> Operation:
    """Stop after the chunk in progress. What was committed stays."""
    if operation.created_by_id != by.user_id:
        by.require("identity.see_all_operations")
    open_states = [State.WAITING, State.RUNNING]
    stopped = Operation.objects.filter(pk=operation.pk, state__in=open_states).update(state=State.CANCELLED, finished_at=timezone.now())
    if not stopped:
        raise AlreadyOver("This is over already.")
    Claim.objects.filter(operation_id=operation.pk).delete()
    operation.refresh_from_db()
    return operation
