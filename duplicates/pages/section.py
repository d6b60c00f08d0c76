"""Similar leads on a lead's page and in its API answer."""

from typing import Any

from crm.actors import Actor
from duplicates.models import Merge
from duplicates.pages.shown import member_shown
from duplicates.permissions import DECIDE, VIEW
from duplicates.selectors import configuration
from duplicates.selectors.groups import confidence_of, similar_to
from duplicates.selectors.reasons import reasons_for
from leads.models import Lead
from leads.permissions import CHANGE
from leads.selectors import name_of


def similar_section(lead: Lead, actor: Actor) -> dict[str, Any]:
    """The panel's leads; none for somebody who may not look through duplicates."""
    wanted = configuration()
    members = similar_to(lead, actor, threshold=wanted.threshold) if actor.can(VIEW) and lead.deleted_at is None else []
    return {
        "lead": lead,
        "items": [member_shown(member, wanted) for member in members],
        "can_decide": actor.can(DECIDE),
        "answer": [
            {
                "id": member.row["id"],
                "similarity_score": round(member.similarity, 4),
                "name": name_of(member.row),
                "company": member.row["company"],
                "confidence": confidence_of(member.similarity),
                "matched_on": list(member.matched_on)
                or [reason.field for reason in reasons_for(member.levels, wanted) if reason.tone == "same"],
                "reasons": [reason.text for reason in reasons_for(member.levels, wanted, matched_on=member.matched_on)],
            }
            for member in members
        ],
    }


def merged_section(lead: Lead, actor: Actor) -> dict[str, Any]:
    """The leads that became part of this one and can be parted from it again."""
    merges = Merge.objects.filter(winner=lead, undone_at=None).select_related("loser", "merged_by").defer("loser__search")
    return {
        "items": list(merges[:20]),
        "can_undo": actor.can(DECIDE) and actor.can(CHANGE),
        "answer": [
            {"merge_id": merge.pk, "lead_id": merge.loser_id, "name": merge.loser.display_name, "merged_at": merge.merged_at}
            for merge in merges[:20]
        ],
    }
