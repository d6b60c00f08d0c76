"""Similar leads on a lead's page and in its API answer."""

from typing import Any

from crm.actors import Actor
from crm.operations.models import Operation
from crm.registry import merge_participants
from duplicates.models import Merge
from duplicates.pages.shown import member_shown
from duplicates.permissions import DECIDE, VIEW
from duplicates.selectors import configuration
from duplicates.selectors.groups import confidence_of, similar_to
from duplicates.selectors.reasons import label_of, reasons_for
from duplicates.services.auto_merge import KIND, UNDO_KIND
from duplicates.services.merging import LEAD, visible_kept
from leads.models import Lead
from leads.permissions import CHANGE
from leads.selectors import leads_visible_to, name_of

# The address of all of them: GET /leads/merges?operation_id=
_MOST_SHOWN = 50


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


def operation_section(operation: Operation, actor: Actor) -> dict[str, Any]:
    """What an automatic merge merged, or what stayed with the winners when it was taken back."""
    if operation.kind not in (KIND, UNDO_KIND) or not actor.can(VIEW):
        return {}
    seen = Merge.objects.filter(winner__in=leads_visible_to(actor, with_deleted=True)).select_related("winner", "loser")
    merges = seen.defer("winner__search", "loser__search").order_by("-pk")
    if operation.kind == KIND:
        return {"merged": merges.filter(operation_id=operation.pk)[:_MOST_SHOWN], "number": operation.result.get("merged_leads", 0)}
    changed = merges.filter(operation_id=operation.undo_of_id, undone_at__isnull=False).exclude(kept=[])[:_MOST_SHOWN]
    return {
        "parted": operation.result.get("parted", 0),
        "kept": [{"merge": merge, "names": [label_of_kept(item) for item in visible_kept(kept=merge.kept, by=actor)]} for merge in changed],
        "number": operation.result.get("changed_since", 0),
    }


def label_of_kept(item: dict[str, Any]) -> str:
    """A thing that stayed with the winner, as people call it: a field, or records of a kind with their number."""
    if "field" in item:
        return str(label_of(item["field"])).replace("_", " ")
    labels = {participant.name: str(participant.label) for participant in merge_participants.of(LEAD)}
    return f"{len(item['ids'])} {labels.get(item['records'], item['records'])}"


def merged_section(lead: Lead, actor: Actor) -> dict[str, Any]:
    """The leads that became part of this one and can be parted from it again."""
    rows = Merge.objects.filter(winner=lead, undone_at=None).select_related("loser", "merged_by").defer("loser__search")
    merges = list(rows[:20])
    return {
        "items": merges,
        "can_undo": actor.can(DECIDE) and actor.can(CHANGE),
        "answer": [
            {"merge_id": merge.pk, "lead_id": merge.loser_id, "name": merge.loser.display_name, "merged_at": merge.merged_at}
            for merge in merges
        ],
    }
