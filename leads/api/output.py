"""Leads as the API answers them: document 0's keys and document 1's beside one another."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from crm.actors import Actor
from leads.enums import Priority
from leads.models import Lead
from leads.selectors import Candidate, owner_name_of, row_of
from leads.services.custom_fields import visible_values

_PRIORITY_LABELS = {priority.value: str(priority.label) for priority in Priority}


def list_out(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A lead in a list, from a row of LIST_COLUMNS. Plain code, not a serializer: fifty of these are made a request."""
    name = f"{row['first_name']} {row['last_name']}".strip()
    contacted = row["last_contact_at"]
    return {
        "id": row["id"],
        "entity_id": row["tenant_id"],
        "name": name or None,
        "full_name": name,
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "company": row["company"],
        "email": row["email"] or None,
        "phone": row["phone"] or None,
        "title": row["title"],
        "industry": row["industry"],
        "company_size": row["company_size"],
        "status": row["status__code"],
        "status_label": row["status__label"],
        "lost_reason": row["lost_reason"] or None,
        "priority": _PRIORITY_LABELS[row["priority"]],
        "lead_source": row["lead_source"],
        "platform_key": row["platform_key"],
        "score": row["score"],
        "quality_grade": row["quality_grade"],
        "lifecycle_stage": row["lifecycle_stage"],
        "conversion_probability": row["conversion_probability"],
        "tags": row["tags"],
        "assigned_to": row["owner_id"],
        "assigned_user_id": row["owner_id"],
        "assigned_to_name": owner_name_of(row) if row["owner_id"] else None,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "last_contact": contacted,
        "next_follow_up": row["next_follow_up_at"],
        "days_since_creation": (now - row["created_at"]).days,
        "days_since_last_contact": (now - contacted).days if contacted else None,
        # Recommendations come with the scoring capability; until then there is none.
        "next_action_recommended": None,
        "deleted_at": row["deleted_at"],
    }


def lead_out(lead: Lead, now: datetime | None = None, *, by: Actor | None = None) -> dict[str, Any]:
    """A lead with everything known about it, as its reader may know it. Without a reader, that is what every role may see."""
    return {
        **list_out(row_of(lead), now or datetime.now(UTC)),
        "website": lead.website,
        "notes": lead.notes,
        "address": {"city": lead.city, "state": lead.state, "country": lead.country},
        "custom_fields": visible_values(lead.custom_fields, by),
        "source_page_id": lead.source_page_id or None,
        "source_page_name": lead.source_page_name or None,
        "raw_field_data": visible_values(lead.raw_field_data, by),
        "consent_time": lead.consent_time,
        "assigned_at": lead.assigned_at,
        "status_changed_at": lead.status_changed_at,
        "created_by": lead.created_by_id or "system",
        "created_via": lead.created_via,
    }


def duplicate_out(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.lead.pk,
        "similarity_score": candidate.similarity,
        "name": candidate.lead.display_name,
        "company": candidate.lead.company,
        "matched_on": list(candidate.matched_on),
    }
