"""Ask for long work, and stop it."""

from typing import Any

from django.core.files import File
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError, NotFound
from crm.operations.enums import State
from crm.operations.models import Claim, Operation
from crm.operations.runner import enqueue


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
