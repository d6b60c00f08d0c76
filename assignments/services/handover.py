"""Give away the leads of somebody who works none any more: to one person, or by the rules."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.errors import NoRules
from assignments.permissions import ASSIGN, CHANGE
from assignments.selectors import Load, loads
from assignments.services.capture import tell_that_queue_grew
from assignments.services.giving import said
from assignments.services.running import CHUNK_LEADS, active_rules, assign_by_rules, hold_turns
from crm.actors import Actor
from crm.errors import InvalidInput, NotFound
from crm.events.bus import publish
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import Chunk, SkippedRow
from crm.operations.services import start_operation
from leads.events import LeadsAssigned, LeadsChanged
from leads.models import Lead
from leads.selectors import open_status_ids
from leads.services.bulk import Selection, bulk_edit

KIND = "assignments.handover"


def hand_over(*, user_id: int, to: int | None, by: Actor) -> Operation:
    """Start giving all leads of somebody to one person, or, `to` being None, the open ones to whom the rules choose.

    Raises NotFound for a person who is not there, InvalidInput where they have none, NoRules where no rule is in use.
    """
    by.require(ASSIGN)
    by.require(CHANGE)
    owner = User.objects.filter(pk=user_id).first()
    if owner is None:
        raise NotFound("No such person.")
    load = loads().get(user_id, Load())
    if to is not None:
        if to == user_id or not load.assigned:
            raise InvalidInput({"to": [_("There is nothing to give away.")]})
        return bulk_edit(selection=Selection(filters={"assigned_to": str(user_id)}), updates={"owner_id": to}, by=by)
    if not active_rules():
        raise NoRules("No assignment rule is in use. See Assignments, Rules.")
    if not load.active:
        raise InvalidInput({"to": [_("The rules place open leads only, and there are none. Name a person.")]})
    title = ngettext("%(n)s open lead of %(name)s goes to others", "%(n)s open leads of %(name)s go to others", load.active)
    title = title % {"n": f"{load.active:,}", "name": owner.full_name}
    params = {"owner": user_id, "reason": _("%(name)s had it before") % {"name": owner.full_name}}
    return start_operation(kind=KIND, title=title, params=params, total=load.active, by=by)


def hand_over_chunk(operation: Operation, actor: Actor) -> Chunk:
    """The next leads of that person: taken from them, then placed; what no rule places waits in the catch-all queue."""
    actor.require(ASSIGN)
    actor.require(CHANGE)
    params: Mapping[str, Any] = operation.params
    with transaction.atomic():
        hold_turns()
        held = Lead.objects.live().filter(owner_id=params["owner"], status_id__in=open_status_ids())
        rows = held.filter(pk__gt=operation.cursor.get("after", 0)).order_by("pk").select_for_update(of=("self",))
        ids = list(rows.values_list("pk", flat=True)[:CHUNK_LEADS])
        now = timezone.now()
        with said(reason=params["reason"]):
            Lead.objects.filter(pk__in=ids).update(owner=None, assigned_at=None, updated_at=now)
        placed = assign_by_rules(lead_ids=ids, reason=params["reason"], by=actor)
        waiting = [pk for pk in ids if pk not in placed.given]
        if waiting:
            publish(LeadsAssigned(lead_ids=tuple(waiting), owner_id=None))
            publish(LeadsChanged(lead_ids=tuple(waiting), fields=("assigned_to", "assigned_at")))
            tell_that_queue_grew()
    chunk = Chunk(cursor={"after": ids[-1] if ids else 0}, finished=len(ids) < CHUNK_LEADS, updated=len(placed.given))
    chunk.skipped = len(waiting)
    start = operation.done + chunk.updated + 1
    why = _("No rule could place it; it waits in the catch-all queue.")
    chunk.skipped_rows = [SkippedRow(row=number, message=why, record_id=pk) for number, pk in enumerate(waiting, start=start)]
    return chunk
