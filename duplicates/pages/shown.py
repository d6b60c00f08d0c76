"""How groups and similar leads are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from crm.normal import international
from duplicates.selectors import Configuration
from duplicates.selectors.groups import Group, Member, confidence_of
from duplicates.selectors.reasons import reasons_for
from leads.selectors import name_of, owner_name_of

# A queue's row names so many reasons; the others stand in its title.
REASONS = 3
_TONES = {"high": "tone-danger", "medium": "tone-warning", "low": ""}
_LABELS = {"high": _("Very likely"), "medium": _("Likely"), "low": _("Possible")}


def lead_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": name_of(row),
        "company": row["company"],
        "email": row["email"],
        "phone": international(row["phone"]),
        "owner": owner_name_of(row) if row["owner_id"] else "",
        "status": row["status__label"],
        "status_code": row["status__code"],
        "created_at": row["created_at"],
    }


def member_shown(member: Member, wanted: Configuration) -> dict[str, Any]:
    reasons = reasons_for(member.levels, wanted, matched_on=member.matched_on)
    return {
        **lead_shown(member.row),
        "percent": percent(member.similarity),
        "reasons": reasons[:REASONS],
        "all_reasons": ", ".join(reason.text for reason in reasons),
        "confidence": confidence_of(member.similarity),
        "tone": _TONES[confidence_of(member.similarity)],
    }


def percent(similarity: float) -> int:
    """Rounded down: only what is certain is a hundred."""
    return int(similarity * 100 + 1e-9)


def group_shown(group: Group, wanted: Configuration) -> dict[str, Any]:
    sure = confidence_of(group.similarity)
    return {
        "id": group.id,
        "size": group.size,
        "percent": percent(group.similarity),
        "tone": _TONES[sure],
        "label": _LABELS[sure],
        "primary": lead_shown(group.primary),
        "duplicates": [member_shown(member, wanted) for member in group.duplicates],
        "lead_ids": group.lead_ids,
        "found_at": group.found_at,
        "later_until": group.later_until,
    }


def groups_shown(groups: Sequence[Group], wanted: Configuration) -> list[dict[str, Any]]:
    return [group_shown(group, wanted) for group in groups]
