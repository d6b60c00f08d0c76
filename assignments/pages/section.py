"""Why this owner: what stands on a lead's page."""

from typing import Any

from assignments.pages.shown import names_of, people_in, rule_names, said
from assignments.permissions import ASSIGN
from assignments.selectors import history_of_lead, people_named, waiting_entries
from crm.actors import Actor
from leads.models import Lead


def owner_section(lead: Lead, actor: Actor) -> dict[str, Any] | None:
    """The rule, its version, who could have taken it and who was skipped and why, and all owners it had. None where it had none."""
    rows = history_of_lead(lead)
    entry = waiting_entries([lead.pk]).get(lead.pk) if lead.owner_id is None else None
    if not rows and entry is None:
        return None
    decision = rows[0].decision if rows and rows[0].until is None and lead.owner_id is not None else entry.decision if entry else None
    givers = people_named([pk for row in rows for pk in (row.assigned_by_id, row.previous_user_id)])
    why = None
    if decision is not None:
        why = said(decision, names_of(people_in(decision)), rule_names())
    history = [{"row": row, "giver": givers.get(row.assigned_by_id or 0), "before": givers.get(row.previous_user_id or 0)} for row in rows]
    return {
        "lead": lead,
        "current": history[0] if history and lead.owner_id is not None else None,
        "why": why,
        "waiting": entry,
        "history": history[:8],
        "more": max(0, len(history) - 8),
        "can_assign": actor.can(ASSIGN),
    }
