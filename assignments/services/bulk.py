"""Give many leads: spread the unassigned over people, or let the rules place a selection, at once or as an operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.enums import Method
from assignments.errors import NoRules
from assignments.models import AssignmentRule
from assignments.permissions import ASSIGN, CHANGE
from assignments.selectors import count_unowned, loads, people_with_leads, unowned
from assignments.services.capture import tell_that_queue_grew
from assignments.services.engine import Rule
from assignments.services.giving import MOST_REASON
from assignments.services.running import CHUNK_LEADS, Placed, active_rules, assign_by_rules, hold_turns, place_leads
from crm.actors import Actor
from crm.errors import InvalidInput
from crm.operations.models import Operation
from crm.operations.runner import Chunk, SkippedRow
from crm.operations.services import start_operation
from leads.filters import LeadList
from leads.models import Lead
from leads.services.bulk import MOST_IDS, Selection

KIND = "assignments.assign"
# So many are given before the answer; more are an operation's work.
AT_ONCE = CHUNK_LEADS
CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What came of giving many leads: whom each went to, or the operation that is at it."""

    placed: Placed
    operation: Operation | None = None
    # Of leads named one by one, those left alone, and why.
    skipped: Mapping[int, str] = field(default_factory=dict)


def spread_unassigned(*, reason: str = "", most_each: int | None = None, by: Actor) -> Spread:
    """Give the unassigned open leads in turn to who takes leads, the oldest first, nobody having more open ones than `most_each`.

    People on leave and those full are passed over; hours do not matter, as nobody need take them up at once. More than AT_ONCE
    become an operation.
    """
    by.require(ASSIGN)
    by.require(CHANGE)
    if most_each is not None and not 1 <= most_each <= 1_000_000:
        raise InvalidInput({"max_leads_per_user": ["Must be from 1 to 1,000,000."]})
    room = _room(most_each)
    expected = min(count_unowned(), room) if room is not None else count_unowned()
    if expected > AT_ONCE:
        params = {"mode": "spread", "reason": reason[:MOST_REASON], "most_each": most_each, "newest": _newest()}
        title = _("Assignment of %(n)s unassigned leads") % {"n": f"{expected:,}"}
        return Spread(placed=Placed(), operation=start_operation(kind=KIND, title=title, params=params, total=expected, by=by))
    ids = list(unowned().order_by("created_at", "pk").values_list("pk", flat=True)[:expected])
    return Spread(placed=_spread(ids, most_each=most_each, reason=reason, by=by))


def _room(most_each: int | None) -> int | None:
    """How many leads there is room for; None without a limit."""
    people, found = [person for person in people_with_leads() if person.takes_leads], loads()
    room = 0
    for person in people:
        limits = [limit for limit in (most_each, person.capacity.in_total if person.capacity else None) if limit is not None]
        if not limits:
            return None
        load = found.get(person.user.pk)
        room += max(0, min(limits) - (load.active if load else 0))
    return room


def _spread(ids: Sequence[int], *, most_each: int | None, reason: str, by: Actor) -> Placed:
    if not ids:
        return Placed()
    with transaction.atomic():
        hold_turns()
        found = loads()
        takers = [person.user.pk for person in people_with_leads() if person.takes_leads]
        # Who has least begins.
        takers.sort(key=lambda pk: found[pk].active if pk in found else 0)
        rule = Rule(
            id=None,
            name="",
            method=Method.ROUND_ROBIN,
            members=tuple((pk, 1) for pk in takers),
            in_total=most_each,
            heed_shifts=False,
        )
        note = _("Unassigned leads spread in turn")
        return place_leads(lead_ids=ids, rules=[AssignmentRule(name="")], read=[rule], reason=reason, note=note, queue=False, by=by)


def place_selection(*, selection: Selection, reason: str = "", by: Actor) -> Spread:
    """Let the rules place these leads; those that have an owner stay as they are. More than AT_ONCE become an operation.

    Raises NoRules where none is switched on, InvalidInput for an empty selection or for what is no filter.
    """
    by.require(ASSIGN)
    by.require(CHANGE)
    if not active_rules():
        raise NoRules("No assignment rule is in use. See Assignments, Rules.")
    if not selection.ids and selection.filters is None:
        raise InvalidInput({"lead_ids": ["Name at least one lead, or give filters."]})
    if len(selection.ids) > MOST_IDS:
        raise InvalidInput({"lead_ids": [f"At most {MOST_IDS:,} ids; select more by filters."]})
    leads = LeadList.for_work(params=selection.filters, actor=by) if selection.filters is not None else None
    total = leads.total() - len(selection.without) if leads is not None else len(set(selection.ids))
    if total > AT_ONCE:
        return Spread(placed=Placed(), operation=start_placing(selection=selection, reason=reason, total=total, by=by))
    ids = leads.ids_after(0, AT_ONCE) if leads is not None else list(selection.ids)
    placed = assign_by_rules(lead_ids=[pk for pk in ids if pk not in set(selection.without)], reason=reason, by=by)
    if placed.waiting:
        tell_that_queue_grew()
    return Spread(placed=placed, skipped=_why_skipped(selection.ids, placed))


def _why_skipped(ids: Sequence[int], placed: Placed) -> dict[int, str]:
    """Of leads that were named, why those neither given nor waiting were left alone: not_found, has_owner or closed."""
    left = [pk for pk in dict.fromkeys(ids) if pk not in placed.given and pk not in set(placed.waiting)]
    there = dict(Lead.objects.live().filter(pk__in=left).values_list("pk", "owner_id"))
    return {pk: "not_found" if pk not in there else "has_owner" if there[pk] is not None else "closed" for pk in left}


def start_placing(*, selection: Selection, reason: str = "", total: int | None = None, by: Actor) -> Operation:
    """The same as an operation, which can be taken back. Raises what `place_selection` does."""
    by.require(ASSIGN)
    by.require(CHANGE)
    if not active_rules():
        raise NoRules("No assignment rule is in use. See Assignments, Rules.")
    if not selection.ids and selection.filters is None:
        raise InvalidInput({"lead_ids": ["Name at least one lead, or give filters."]})
    if selection.filters is not None:
        LeadList.for_work(params=selection.filters, actor=by)
    stored = selection.stored()
    if selection.filters is None:
        total = len(stored["ids"])
    title = (
        ngettext("Assignment of %(n)s lead by the rules", "Assignment of %(n)s leads by the rules", total) % {"n": f"{total:,}"}
        if total is not None
        else _("Assignment of the leads of a list by the rules")
    )
    params = {**stored, "mode": "rules", "reason": reason[:MOST_REASON], "newest": _newest()}
    return start_operation(kind=KIND, title=title, params=params, total=total, by=by)


def _newest() -> int:
    """Leads that come in later are left to the capture that brought them."""
    return Lead.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


# --- doing it, a chunk at a time ---


def assign_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Give the next leads after the cursor."""
    actor.require(ASSIGN)
    actor.require(CHANGE)
    params = operation.params
    return _spread_chunk(operation, params, actor) if params["mode"] == "spread" else _rules_chunk(operation, params, actor)


def _spread_chunk(operation: Operation, params: Mapping[str, Any], actor: Actor) -> Chunk:
    left = (operation.total or 0) - operation.done
    after = operation.cursor.get("after", 0)
    rows = unowned().filter(pk__gt=after, pk__lte=params["newest"]).order_by("pk")
    ids = list(rows.values_list("pk", flat=True)[: min(CHUNK, max(left, 0))])
    placed = _spread(ids, most_each=params["most_each"], reason=params["reason"], by=actor)
    # Where nobody has room any more, going on would find the same.
    finished = len(ids) < CHUNK or not placed.given
    chunk = Chunk(cursor={"after": ids[-1] if ids else after}, finished=finished, updated=len(placed.given))
    _pass_over(chunk, operation, [(pk, _("Nobody has room for it.")) for pk in placed.waiting])
    return chunk


def _rules_chunk(operation: Operation, params: Mapping[str, Any], actor: Actor) -> Chunk:
    ids, cursor, finished = _next_ids(operation, actor)
    placed = assign_by_rules(lead_ids=ids, reason=params["reason"], by=actor)
    chunk = Chunk(cursor=cursor, finished=finished, updated=len(placed.given))
    waiting = set(placed.waiting)
    _pass_over(
        chunk,
        operation,
        [
            (pk, _("No rule could place it.") if pk in waiting else _("It has an owner, is closed, or is not there any more."))
            for pk in ids
            if pk not in placed.given
        ],
    )
    if finished and waiting:
        tell_that_queue_grew()
    return chunk


def _pass_over(chunk: Chunk, operation: Operation, rows: Sequence[tuple[int, str]]) -> None:
    chunk.skipped = len(rows)
    start = operation.done + chunk.updated + 1
    chunk.skipped_rows = [SkippedRow(row=number, message=why, record_id=pk) for number, (pk, why) in enumerate(rows, start=start)]


def _next_ids(operation: Operation, actor: Actor) -> tuple[list[int], dict[str, Any], bool]:
    params = operation.params
    if params["filters"] is None:
        place = operation.cursor.get("place", 0)
        ids = params["ids"][place : place + CHUNK]
        return ids, {"place": place + len(ids)}, place + len(ids) >= len(params["ids"])
    after, without = operation.cursor.get("after", 0), set(params["without"])
    found = LeadList.for_work(params=params["filters"], actor=actor).ids_after(after, CHUNK)
    ids = [pk for pk in found if pk <= params["newest"]]
    last = len(found) < CHUNK or len(ids) < len(found)
    return [pk for pk in ids if pk not in without], {"after": ids[-1] if ids else after}, last


def links(operation: Operation) -> dict[str, str]:
    return {"updated": f"/leads?changed_by={operation.pk}", "record": "/leads/", "skipped": "/assignments/queue"}
