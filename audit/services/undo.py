"""Take back what an operation did, from the history that the database kept, set-wise.

Records it changed get back the values they had before its first change; records it made are discarded. A record that
anybody changed since stays as it is and is listed. Taking back is an operation itself, so it can be taken back too.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Model, prefetch_related_objects
from django.utils import timezone

from audit.selectors import tracked_models
from audit.services.acts import record_act
from crm.actors import Actor
from crm.bulk import update_records
from crm.errors import DomainError, Forbidden
from crm.operations.enums import State
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow, kind_of
from crm.operations.services import start_operation
from crm.registry import UndoParticipant, compute_values, undo_kinds, undo_participants
from crm.tenancy.scope import current_tenant_id

KIND = "audit.undo"
PARTICIPANTS = "all"
CHUNK_RECORDS = 2000


class NotUndoable(DomainError):
    """The operation changed no record, is still at work, or has been taken back already."""

    code = "NOT_UNDOABLE"


def undo_operation(*, operation: Operation, by: Actor) -> Operation:
    """Start taking back an operation: its author may, and who sees everybody's operations."""
    if not may_undo(operation=operation, by=by):
        raise Forbidden("Only who started this may take it back.")
    problem = why_not_undoable(operation)
    if problem:
        raise NotUndoable(problem)
    undo = start_operation(
        kind=next(iter(undo_kinds.of(operation.kind)), KIND), title=f"Undo of {operation.title}", undo_of=operation, by=by
    )
    record_act(action="operation_undone", subject=operation.title, details={"operation": operation.pk, "undo": undo.pk}, by=by)
    return undo


def may_undo(*, operation: Operation, by: Actor) -> bool:
    return operation.created_by_id == by.user_id or by.can("identity.see_all_operations")


def why_not_undoable(operation: Operation) -> str:
    """Why an operation cannot be taken back now; empty where it can."""
    kind = kind_of(operation)
    if kind is None or not kind.undoable:
        return "This kind of operation changes nothing that could be taken back."
    if not operation.is_over:
        return "It is still running. Stop it first, or wait until it is done."
    if not operation.created and not operation.updated:
        return "It changed nothing."
    if undo_of(operation) is not None:
        return "It has been taken back already."
    return ""


def undo_of(operation: Operation) -> Operation | None:
    """The operation that takes this one back, if there is one."""
    return Operation.objects.filter(undo_of=operation).exclude(state__in=[State.FAILED, State.CANCELLED]).first()


def undo_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Take back the next records: of each participant those that were changed, then those that were made."""
    participants = undo_participants.of(PARTICIPANTS)
    cursor = {"participant": 0, "step": "changed", "after": 0, **operation.cursor}
    if cursor["participant"] >= len(participants) or operation.undo_of_id is None:
        return Chunk(cursor=cursor, finished=True)
    while True:
        work = _Restoring(participants[cursor["participant"]], operation.undo_of_id, operation.pk, actor)
        step = work.restore_changed if cursor["step"] == "changed" else work.discard_made
        last = step(cursor["after"])
        if last is not None:
            following = {**cursor, "after": last}
        elif cursor["step"] == "changed":
            following = {**cursor, "step": "made", "after": 0}
        else:
            following = {"participant": cursor["participant"] + 1, "step": "changed", "after": 0}
        # Most operations touched records of one kind: what has nothing to take back costs its question, not a chunk.
        if work.did_something or following["participant"] >= len(participants):
            break
        cursor = following
    whole = operation.undo_of.created + operation.undo_of.updated if operation.undo_of else None
    return Chunk(
        cursor=following,
        finished=following["participant"] >= len(participants),
        total=whole,
        updated=work.restored + work.discarded,
        errors=work.conflicts,
        skipped_rows=work.skipped,
        skipped=len(work.skipped),
        result={
            "restored": operation.result.get("restored", 0) + work.restored,
            "discarded": operation.result.get("discarded", 0) + work.discarded,
        },
    )


_TOUCHED = """
WITH touched AS (
    SELECT history.pgh_obj_id AS id, min(history.pgh_id) AS first, max(history.pgh_id) AS last
    FROM {history} AS history
    WHERE history.tenant_id = %(tenant)s AND history.pgh_operation = %(operation)s AND history.pgh_obj_id > %(after)s
    GROUP BY history.pgh_obj_id ORDER BY history.pgh_obj_id LIMIT %(most)s
)
SELECT touched.id, touched.first, (
    SELECT coalesce(later.pgh_context ->> 'actor', 'Somebody') FROM {history} AS later
    WHERE later.tenant_id = %(tenant)s AND later.pgh_obj_id = touched.id AND later.pgh_id > touched.last
        AND later.pgh_operation IS DISTINCT FROM %(undo)s ORDER BY later.pgh_id LIMIT 1
)
FROM touched ORDER BY touched.id
"""
_MADE = """
SELECT record.id, (
    SELECT coalesce(later.pgh_context ->> 'actor', 'Somebody') FROM {history} AS later
    WHERE later.tenant_id = %(tenant)s AND later.pgh_obj_id = record.id AND later.pgh_operation IS DISTINCT FROM %(operation)s
        AND later.pgh_operation IS DISTINCT FROM %(undo)s ORDER BY later.pgh_id LIMIT 1
)
FROM {table} AS record
WHERE record.tenant_id = %(tenant)s AND record.{made_by} = %(operation)s AND record.id > %(after)s ORDER BY record.id LIMIT %(most)s
"""


class _Restoring:
    """One chunk of one participant, and what it came to."""

    def __init__(self, participant: UndoParticipant, operation_id: int, undo_id: int, actor: Actor) -> None:
        self.participant, self.operation_id, self.undo_id, self.actor = participant, operation_id, undo_id, actor
        self.model: type[Model] = apps.get_model(participant.model)
        self.history = tracked_models()[self.model]
        self.restored = self.discarded = 0
        self.conflicts: list[RowError] = []
        self.skipped: list[SkippedRow] = []

    @property
    def did_something(self) -> bool:
        return bool(self.restored or self.discarded or self.conflicts or self.skipped)

    def restore_changed(self, after: int) -> int | None:
        """Give records their values from before the operation. Answers the last id looked at, or None when there are no more."""
        records = self._locked([row[0] for row in self._ask(_TOUCHED, after)])
        # Asked anew once nobody can change them: what was changed while this waited for their locks is told too.
        touched = self._ask(_TOUCHED, after)
        if not touched:
            return None
        firsts = {pk: first for pk, first, _changer in touched}
        free = [pk for pk, changer in self._settled([(pk, changer) for pk, _first, changer in touched], records) if not changer]
        earlier: Iterable[Any] = self.history._default_manager.filter(pgh_id__in=[firsts[pk] for pk in free])
        before = {row.pgh_obj_id: row for row in earlier}
        names = [field.attname for field in self._columns()]
        changed, different = [], set()
        for pk in free:
            record = records[pk]
            # Made and changed by the same operation: it is discarded as a whole.
            if getattr(record, self.participant.made_by) == self.operation_id:
                continue
            own = {name for name in names if getattr(record, name) != getattr(before[pk], name)}
            for name in own:
                setattr(record, name, getattr(before[pk], name))
            if own:
                different |= own
                changed.append(record)
            else:
                self.skipped.append(SkippedRow(row=pk, message="It holds its earlier values already.", record_id=pk))
        self._write(changed, sorted(different))
        return int(touched[-1][0])

    def _write(self, records: Sequence[Any], names: Sequence[str]) -> None:
        if not records:
            return
        computed = [field.attname for field in self.model._meta.concrete_fields if field not in self._columns() and not field.generated]
        prefetch_related_objects(records, *self.participant.related)
        previous = [{name: getattr(record, name) for name in computed} for record in records]
        compute_values(self.participant.model, records)
        also = {
            name
            for record, values in zip(records, previous, strict=True)
            for name, value in values.items()
            if getattr(record, name) != value
        }
        if hasattr(self.model, "updated_at"):
            also.add("updated_at")
            now = timezone.now()
            for record in records:
                record.updated_at = now
        self.restored += update_records(records, [*names, *sorted(also)])
        self.participant.tell(records=records, names=names, by=self.actor)

    def discard_made(self, after: int) -> int | None:
        """Take away the records that the operation made."""
        records = self._locked([row[0] for row in self._ask(_MADE, after)])
        made = self._ask(_MADE, after)
        if not made:
            return None
        free = [pk for pk, changer in self._settled(made, records) if not changer]
        gone = [pk for pk in free if getattr(records[pk], "deleted_at", None) is not None]
        self.skipped += [SkippedRow(row=pk, message="It is gone already.", record_id=pk) for pk in gone]
        free = [pk for pk in free if pk not in set(gone)]
        if free:
            self.participant.discard(ids=free, by=self.actor)
            self.discarded += len(free)
        return int(made[-1][0])

    def _ask(self, text: str, after: int) -> list[Any]:
        names = {"history": self.history._meta.db_table, "table": self.model._meta.db_table, "made_by": self.participant.made_by}
        with connection.cursor() as cursor:
            # What the undo itself moved along, such as a lead's date with its follow-up, is no change by somebody since.
            given = {"tenant": current_tenant_id(), "operation": self.operation_id, "undo": self.undo_id, "after": after}
            cursor.execute(text.format(**names), {**given, "most": CHUNK_RECORDS})
            return cursor.fetchall()

    def _locked(self, ids: Sequence[int]) -> dict[int, Any]:
        plain = [field.attname for field in self.model._meta.concrete_fields if not field.generated]
        rows = self.model._default_manager.filter(pk__in=ids).select_for_update(of=("self",)).order_by("pk").only(*plain)
        return {row.pk: row for row in rows}

    def _settled(self, found: Sequence[tuple[int, str | None]], records: dict[int, Any]) -> list[tuple[int, str | None]]:
        """List what cannot be taken back: what is gone, out of sight, or changed since. Answers the rest."""
        visible = self.participant.visible(ids=list(records), by=self.actor)
        rest = []
        for pk, changer in found:
            message = (
                "It is no longer there." if pk not in records
                else "You may not change it." if pk not in visible
                else f"{changer} changed it since." if changer
                else ""
            )  # fmt: skip
            if message:
                self.conflicts.append(RowError(row=pk, message=message, record_id=pk if pk in visible else None))
            else:
                rest.append((pk, changer))
        return rest

    def _columns(self) -> list[Any]:
        """What the history knows of a record, but for what it is known by."""
        kept = {field.name for field in self.history._meta.concrete_fields}
        return [
            field for field in self.model._meta.concrete_fields if field.name in kept and not field.primary_key and field.name != "tenant"
        ]
