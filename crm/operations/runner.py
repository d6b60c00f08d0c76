"""Kinds of operations, and the loop that runs one chunk by chunk."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError, is_out_of_space
from crm.events import live, nudge
from crm.events.bus import publish
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.operations.enums import RowOutcome, State
from crm.operations.events import OperationEnded
from crm.operations.models import Claim, Operation, OperationRow
from crm.tenancy.scope import act_as, tenant_scope

log = structlog.get_logger(__name__)
# Renewed with every chunk. A killed worker's operation stands still no longer than this and a sweep.
LEASE = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class RowError:
    row: int
    message: str
    field: str = ""
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    record_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class SkippedRow:
    """A row that was passed over, and the record that was in its way."""

    row: int
    message: str
    record_id: int | None = None


@dataclass(kw_only=True)
class Chunk:
    """What one step did. `cursor` says where the next one starts; `finished` ends the operation."""

    cursor: dict[str, Any]
    finished: bool = False
    total: int | None = None
    created: int = 0
    updated: int = 0
    skipped: int = 0
    errors: list[RowError] = dataclasses.field(default_factory=list)
    skipped_rows: list[SkippedRow] = dataclasses.field(default_factory=list)
    # Failed rows without an error row of their own, such as beyond the number that is kept.
    failed: int | None = None
    result: dict[str, Any] = dataclasses.field(default_factory=dict)


Step = Callable[[Operation, Actor], Chunk]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a kind of operation is.

    `step` does the next chunk: it runs in one transaction and must follow the cursor alone. `undoable` kinds change records
    whose history knows the operation. `links` answers pages that show what a counter counted, by the counter's name; `labels`
    name counters otherwise than usual, such as the rows that an export wrote.
    """

    step: Step
    undoable: bool = False
    links: Callable[[Operation], dict[str, str]] | None = None
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_kinds: dict[str, Kind] = {}
# Of either outcome.
KEPT_ROWS = 10_000


def kind(
    name: str,
    step: Step,
    *,
    undoable: bool = False,
    links: Callable[[Operation], dict[str, str]] | None = None,
    labels: Mapping[str, Any] | None = None,
) -> None:
    """Register a kind of operation."""
    _kinds[name] = Kind(step=step, undoable=undoable, links=links, labels=labels or {})


def kind_of(operation: Operation) -> Kind | None:
    return _kinds.get(operation.kind)


def is_undoable(operation: Operation) -> bool:
    """Whether operations of this kind can be taken back."""
    known = kind_of(operation)
    return known is not None and known.undoable


def claim(operation_id: int) -> int | None:
    """Take the lease on an operation; its tenant's id, or None when another worker holds it or it is over."""
    now = timezone.now()
    free = Claim.objects.filter(Q(held_until=None) | Q(held_until__lt=now), operation_id=operation_id)
    if not free.update(held_until=now + LEASE):
        return None
    return Claim.objects.values_list("tenant_id", flat=True).get(operation_id=operation_id)


def run_inline(operation: Operation) -> None:
    """Run a short operation inside the caller's transaction, which takes all of it back on any error; errors are raised."""
    tenant_id = claim(operation.pk)
    while tenant_id is not None and _next_chunk(tenant_id, operation.pk):
        pass
    operation.refresh_from_db()


def run(operation_id: int, *, seconds: float = math.inf) -> None:
    """Run an operation to its end, or until the process dies; then another worker goes on where the last commit was.

    After `seconds` it goes back into the queue, so that a long one lets others in between and a worker asked to stop can.
    """
    tenant_id = claim(operation_id)
    if tenant_id is None:
        return
    until = time.monotonic() + seconds
    try:
        while _next_chunk(tenant_id, operation_id):
            if time.monotonic() >= until:
                Claim.objects.filter(operation_id=operation_id).update(held_until=None)
                nudge.task("operations.run", operation_id=operation_id)
                return
            Claim.objects.filter(operation_id=operation_id).update(held_until=timezone.now() + LEASE)
    except DomainError as refusal:
        _fail(tenant_id, operation_id, refusal.message)
    except (OperationalError, InterfaceError) as error:
        # The database went away or broke off the work; the chunk left nothing behind. The lease runs out and the sweep goes on from there.
        log.warning("operation_interrupted", operation=operation_id, error=str(error))
    except Exception as error:
        if is_out_of_space(error):
            # As when the database goes away: once there is room again, the sweep goes on from the last commit.
            log.warning("operation_waits_for_room", operation=operation_id, error=str(error))
            return
        log.exception("operation_failed", operation=operation_id)
        _fail(tenant_id, operation_id, f"Stopped by an error: {type(error).__name__}. Everything before it is kept.")


def _next_chunk(tenant_id: int, operation_id: int) -> bool:
    with tenant_scope(tenant_id, operation_id=operation_id):
        operation = Operation.objects.select_for_update(of=("self",)).get(pk=operation_id)
        if operation.is_over:
            Claim.objects.filter(operation_id=operation_id).delete()
            return False
        actor = _actor_of(operation)
        act_as(actor)
        if operation.started_at is None:
            operation.started_at = timezone.now()
            operation.state = State.RUNNING
        chunk = _kinds[operation.kind].step(operation, actor)
        _record(operation, chunk)
        live.announce(
            "operation.progress",
            data={"id": operation.pk, "state": operation.state, "percent": operation.percent},
            user_id=operation.created_by_id,
        )
    return not chunk.finished


def _actor_of(operation: Operation) -> Actor:
    """Work on with the rights the person has now; somebody who left leaves the work to nobody."""
    user = User.objects.filter(pk=operation.created_by_id, is_active=True).first()
    if operation.created_by_id is None:
        return Actor.system(tenant_id=operation.tenant_id)
    if user is None:
        raise DomainError("The person who asked for this is no longer active.")
    return actor_for(user, door=Door(operation.params.get("door", Door.TASK)))


def _record(operation: Operation, chunk: Chunk) -> None:
    failed = len(chunk.errors) if chunk.failed is None else chunk.failed
    failed_rows = [
        OperationRow(
            operation=operation,
            row=error.row,
            field=error.field[:80],
            message=error.message[:500],
            values=error.values,
            record_id=error.record_id,
        )
        for error in chunk.errors[: max(0, KEPT_ROWS - operation.failed)]
    ]
    skipped_rows = [
        OperationRow(operation=operation, outcome=RowOutcome.SKIPPED, row=row.row, message=row.message[:500], record_id=row.record_id)
        for row in chunk.skipped_rows[: max(0, KEPT_ROWS - operation.skipped)]
    ]
    OperationRow.objects.bulk_create([*failed_rows, *skipped_rows])
    operation.cursor = chunk.cursor
    operation.total = chunk.total if chunk.total is not None else operation.total
    operation.created += chunk.created
    operation.updated += chunk.updated
    operation.skipped += chunk.skipped
    operation.failed += failed
    operation.done += chunk.created + chunk.updated + chunk.skipped + failed
    operation.result = {**operation.result, **chunk.result}
    if chunk.finished:
        operation.state = State.DONE
        operation.total = operation.done
        operation.finished_at = timezone.now()
        Claim.objects.filter(operation_id=operation.pk).delete()
    operation.save()
    if chunk.finished:
        publish(OperationEnded(operation_id=operation.pk, seconds=(timezone.now() - operation.created_at).total_seconds()))


def _fail(tenant_id: int, operation_id: int, message: str) -> None:
    with tenant_scope(tenant_id):
        failed = Operation.objects.filter(pk=operation_id).exclude(state__in=[State.DONE, State.CANCELLED])
        failed.update(state=State.FAILED, error=message, finished_at=timezone.now())
        Claim.objects.filter(operation_id=operation_id).delete()
        operation = Operation.objects.get(pk=operation_id)
        told = {"id": operation_id, "state": State.FAILED.value, "percent": None}
        live.announce("operation.progress", data=told, user_id=operation.created_by_id)
        waited = (timezone.now() - operation.created_at).total_seconds()
        publish(OperationEnded(operation_id=operation_id, seconds=waited, failed=True))


def sweep() -> int:
    """Nudge every operation that waits or whose worker died. Called by beat."""
    now = timezone.now()
    due = Claim.objects.filter(Q(held_until=None) | Q(held_until__lt=now)).order_by(F("held_until").asc(nulls_first=True))
    ids = list(due.values_list("operation_id", flat=True)[:200])
    for operation_id in ids:
        nudge.task("operations.run", operation_id=operation_id)
    return len(ids)


def enqueue(operation: Operation) -> None:
    """Make an operation findable by workers and wake one after commit. Beat finds it even when the nudge is lost."""
    Claim.objects.create(tenant_id=operation.tenant_id, operation_id=operation.pk)
    operation_id = operation.pk
    transaction.on_commit(lambda: nudge.task("operations.run", operation_id=operation_id))
