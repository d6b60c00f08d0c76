"""Merge the sure groups, all of them as one operation, and part them again as one."""

from typing import Any

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.operations.enums import State
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import start_operation
from duplicates.models import Merge
from duplicates.permissions import DECIDE
from duplicates.selectors import settings_of_tenant
from duplicates.selectors.certain import LEAST_SURE, SureCount, SureGroup, count_sure_groups, sure_groups
from duplicates.services.checking import likeness_now
from duplicates.services.merge_rules import COMBINED, MergeRules
from duplicates.services.merging import merge_leads, undo_merge
from leads.models import Lead
from leads.permissions import CHANGE, SEE_ALL

KIND, UNDO_KIND = "duplicates.auto_merge", "duplicates.unmerge"
# What no lead can hold of both is the primary's; what several can hold is kept of all.
RULES = MergeRules(combine=COMBINED)
_LOOKED_AT = 20


class NothingSure(DomainError):
    """No group is sure enough."""

    code = "NOTHING_TO_MERGE"


class AlreadyMerging(DomainError):
    """An operation of this kind is under way. `details.operation` names it."""

    code = "ALREADY_RUNNING"


def may_merge_all(*, by: Actor) -> bool:
    """Who merges unseen must be allowed to decide, to change, and to see every lead."""
    return all(by.can(capability) for capability in (DECIDE, CHANGE, SEE_ALL))


def count_auto_merge(*, threshold: float | None = None, by: Actor) -> tuple[SureCount, float]:
    """What `begin_auto_merge` would merge, and from which similarity on. Nothing is written."""
    for capability in (DECIDE, CHANGE, SEE_ALL):
        by.require(capability)
    sure_from = settings_of_tenant().auto_merge_from if threshold is None else threshold
    if not LEAST_SURE <= sure_from <= 1:
        raise InvalidInput({"threshold": [f"Must be from {LEAST_SURE} to 1."]})
    return count_sure_groups(threshold=sure_from), sure_from


def begin_auto_merge(*, threshold: float | None = None, by: Actor) -> Operation:
    """Start merging each sure group into the lead of it that knows most. Without a threshold the tenant's own counts.

    Raises NothingSure, AlreadyMerging, and InvalidInput for a threshold that is too low.
    """
    counted, sure_from = count_auto_merge(threshold=threshold, by=by)
    under_way = open_auto_merge()
    if under_way is not None:
        raise AlreadyMerging("The sure groups are being merged already.", details={"operation": under_way.pk})
    if not counted.groups:
        raise NothingSure("No group is sure enough.")
    return start_operation(
        kind=KIND,
        title=f"Merge of {counted.groups} sure groups" if counted.groups > 1 else "Merge of one sure group",
        params={"threshold": sure_from, "until": counted.last_id},
        total=counted.groups,
        by=by,
    )


def begin_nightly_merge(*, by: Actor) -> Operation | None:
    """What follows the nightly scan in a tenant that wants it; None where it does not, or where there is nothing to do."""
    if not settings_of_tenant().auto_merge:
        return None
    try:
        return begin_auto_merge(by=by)
    except (NothingSure, AlreadyMerging):
        return None


def open_auto_merge() -> Operation | None:
    """The operation that is under way."""
    return Operation.objects.filter(kind=KIND, state__in=[State.WAITING, State.RUNNING]).first()


def merge_next(operation: Operation, actor: Actor) -> Chunk:
    """Merge the next sure group, in the transaction of this step: a row of the operation is a group."""
    for capability in (DECIDE, CHANGE, SEE_ALL):
        actor.require(capability)
    threshold, cursor = operation.params["threshold"], operation.cursor
    groups, last = sure_groups(threshold=threshold, after=cursor.get("after", 0), until=operation.params["until"], most=_LOOKED_AT)
    if not groups:
        return Chunk(cursor={"after": last} if last else cursor, finished=last is None)
    return _merged(groups[0], threshold, operation, actor)


def _merged(group: SureGroup, threshold: float, operation: Operation, actor: Actor) -> Chunk:
    row, following = operation.done + 1, {"after": group.id}
    ids = [group.primary_id, *group.other_ids]
    # Held from here on: what is compared now is what is merged.
    list(Lead.objects.filter(pk__in=ids).select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    now = likeness_now(lead_id=group.primary_id, other_ids=group.other_ids, by=actor)
    if any(now.get(pk, 0.0) < threshold for pk in group.other_ids):
        message = "Compared once more, the leads are less alike than asked for."
        return Chunk(cursor=following, skipped=1, skipped_rows=[SkippedRow(row=row, message=message, record_id=group.primary_id)])
    try:
        merged = merge_leads(target_id=group.primary_id, source_ids=group.other_ids, rules=RULES, operation_id=operation.pk, by=actor)
    except DomainError as refusal:
        error = RowError(row=row, message=refusal.message, field=refusal.field or "", record_id=group.primary_id)
        return Chunk(cursor=following, errors=[error])
    result = {"merged_leads": operation.result.get("merged_leads", 0) + len(merged.merges)}
    return Chunk(cursor=following, updated=1, result=result)


def part_next(operation: Operation, actor: Actor) -> Chunk:
    """Take back the latest merge that the operation made and that still stands: a row of this operation is a merge."""
    actor.require(CHANGE)
    actor.require(DECIDE)
    merges = Merge.objects.filter(operation_id=operation.undo_of_id, undone_at=None)
    total = operation.total if operation.total is not None else merges.count()
    before = operation.cursor.get("before")
    merge = (merges.filter(pk__lt=before) if before is not None else merges).order_by("-pk").first()
    if merge is None or operation.undo_of_id is None:
        return Chunk(cursor=operation.cursor, finished=True, total=total)
    following: dict[str, Any] = {"before": merge.pk}
    try:
        parted = undo_merge(merge_id=merge.pk, by=actor)
    except DomainError as refusal:
        error = RowError(row=operation.done + 1, message=refusal.message, field=refusal.field or "", record_id=merge.winner_id)
        return Chunk(cursor=following, total=total, errors=[error])
    result = {
        "parted": operation.result.get("parted", 0) + 1,
        "changed_since": operation.result.get("changed_since", 0) + bool(parted.kept),
    }
    return Chunk(cursor=following, total=total, updated=1, result=result)
