"""Give a lead to somebody, move it, take it away: by hand, with a reason."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from django.db import connection, transaction

from assignments.errors import AlreadyAssigned, NotAssigned
from assignments.models import Assignment
from crm.actors import Actor
from crm.identity.models import User
from crm.normal import clean_text
from leads.models import Lead
from leads.permissions import CHANGE
from leads.services.editing import edit_lead, find_lead

MOST_REASON = 255


@dataclass(frozen=True, kw_only=True)
class Given:
    """A lead that changed hands, and the row that says so."""

    lead: Lead
    assignment: Assignment
    user: User | None


@contextmanager
def said(*, reason: str = "", notes: str = "", by_lead: Mapping[int, tuple[int | None, int]] | None = None) -> Iterator[None]:
    """Put reason and notes, and for each lead its rule and decision, into the rows that the database writes meanwhile."""
    facts: dict[str, object] = {"reason": clean_text(reason)[:MOST_REASON], "notes": notes.strip()}
    if by_lead:
        facts["leads"] = {str(lead_id): list(places) for lead_id, places in by_lead.items()}
    _say(orjson.dumps(facts).decode())
    try:
        yield
    finally:
        if not connection.needs_rollback:
            _say("")


def _say(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('crm.assignment', %s, true)", [text])


def assign_lead(*, lead_id: int, user_id: int, reason: str = "", notes: str = "", by: Actor) -> Given:
    """Give a lead that nobody has. Reps may take one themselves. Raises AlreadyAssigned for one that somebody has."""
    by.require(CHANGE)
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, by=by, lock=True)
        if lead.owner_id is not None:
            raise AlreadyAssigned(
                "This lead is assigned already. Reassign it instead.",
                field="assigned_user_id",
                details={"assigned_user_id": lead.owner_id},
            )
        return _give(lead, user_id, reason=reason, notes=notes, by=by)


def reassign_lead(*, lead_id: int, user_id: int, reason: str = "", notes: str = "", by: Actor) -> Given:
    """Move a lead to another person. Raises NotAssigned where nobody has it, AlreadyAssigned where that person has."""
    by.require(CHANGE)
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, by=by, lock=True)
        if lead.owner_id is None:
            raise NotAssigned("This lead is not assigned to anybody. Assign it instead.", field="lead_id")
        if lead.owner_id == user_id:
            raise AlreadyAssigned(
                "This lead is assigned to that person already.", field="new_assigned_user_id", details={"assigned_user_id": user_id}
            )
        return _give(lead, user_id, reason=reason, notes=notes, by=by)


def unassign_lead(*, lead_id: int, reason: str = "", by: Actor) -> Given:
    """Take a lead away from its owner; reps may give back their own. Raises NotAssigned where nobody has it."""
    by.require(CHANGE)
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, by=by, lock=True)
        if lead.owner_id is None:
            raise NotAssigned("This lead is not assigned to anybody.", field="lead_id")
        return _give(lead, None, reason=reason, notes="", by=by)


def _give(lead: Lead, user_id: int | None, *, reason: str, notes: str, by: Actor) -> Given:
    with said(reason=reason, notes=notes):
        edited = edit_lead(lead_id=lead.pk, data={"owner_id": user_id}, by=by)
    return Given(lead=edited.lead, assignment=Assignment.objects.get(lead_id=lead.pk, until=None), user=edited.lead.owner)
