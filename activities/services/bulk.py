"""Put many activities off at once, as an operation that can be taken back; and what activities do when one is."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from activities.enums import ActivityStatus
from activities.events import ActivitiesChanged
from activities.models import Activity
from activities.permissions import CHANGE
from activities.selectors import visible_ids
from activities.services.changes import check_due, locked, move
from activities.services.logging import clean_words
from crm.actors import Actor
from crm.bulk import update_records
from crm.errors import InvalidInput
from crm.events.bus import publish
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import start_operation

KIND = "activities.reschedule"
CHUNK, MOST = 1000, 100_000


def reschedule_many(*, activity_ids: Sequence[int], due_at: datetime, notes: str = "", by: Actor) -> Operation:
    """Start giving many open activities one date. What is over, or out of sight, is listed and left."""
    by.require(CHANGE)
    ids = list(dict.fromkeys(activity_ids))
    if not ids or len(ids) > MOST:
        raise InvalidInput({"activityIds": [f"Name from one to {MOST:,} activities."]})
    check_due(due_at)
    title = ngettext("New date for %(number)s activity", "New date for %(number)s activities", len(ids)) % {"number": f"{len(ids):,}"}
    params = {"ids": ids, "due_at": due_at.isoformat(), "notes": clean_words(notes)[:1000]}
    return start_operation(kind=KIND, title=title, params=params, total=len(ids), by=by)


def reschedule_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Put off the next ones."""
    actor.require(CHANGE)
    params, place = operation.params, operation.cursor.get("place", 0)
    ids = params["ids"][place : place + CHUNK]
    due_at = datetime.fromisoformat(params["due_at"])
    chunk = Chunk(cursor={"place": place + len(ids)}, finished=place + len(ids) >= len(params["ids"]))
    there = {row.pk: row for row in locked(ids=ids, by=actor)}
    changed = []
    for number, pk in enumerate(ids, start=operation.done + 1):
        activity = there.get(pk)
        if activity is None or not activity.is_open:
            message = _("It is not there, or not in your sight.") if activity is None else _("It is over already.")
            chunk.errors.append(RowError(row=number, message=message, record_id=pk if activity else None, values={"id": pk}))
        elif activity.due_at == due_at and not params["notes"]:
            chunk.skipped += 1
            chunk.skipped_rows.append(SkippedRow(row=number, message=_("It is due then already."), record_id=pk))
        else:
            move(activity, due_at)
            activity.notes = f"{activity.notes}\n{params['notes']}".strip()
            activity.updated_at = timezone.now()
            changed.append(activity)
    update_records(changed, ["due_at", "remind_before", "remind_at", "snoozed_until", "notes", "updated_at"])
    chunk.updated = len(changed)
    if changed:
        publish(ActivitiesChanged(activity_ids=tuple(row.pk for row in changed), fields=("due_at",)))
    return chunk


# --- when an operation is taken back ---


def undo_visible(*, ids: Sequence[int], by: Actor) -> set[int]:
    """Those that the actor could change singly."""
    by.require(CHANGE)
    return visible_ids(ids=ids, by=by)


def discard(*, ids: Sequence[int], by: Actor) -> None:
    """What an operation made is given up, and stays in the story."""
    now = timezone.now()
    rows = Activity.objects.filter(pk__in=ids, status=ActivityStatus.PENDING)
    rows.update(status=ActivityStatus.CANCELLED, remind_at=None, occurred_at=now, updated_at=now)
    publish(ActivitiesChanged(activity_ids=tuple(ids), fields=("status",)))


def tell_restored(*, records: Sequence[Activity], names: Sequence[str], by: Actor) -> None:
    """Publish that these have earlier values again."""
    publish(ActivitiesChanged(activity_ids=tuple(row.pk for row in records), fields=tuple(names)))
