"""Leads as feature rows, and the values written back on them."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from leads.models import Lead
from scoring.services.rule_score import (
    Breakdown,
    FeatureRow,
    grade_of,
    lifecycle_of,
    score_row,
)


def features_of(lead: Lead) -> FeatureRow:
    return FeatureRow(
        email=lead.email,
        phone=lead.phone,
        name=lead.full_name,
        company=lead.company,
        industry=lead.industry,
        company_size=lead.company_size,
        title=lead.title,
        lead_source=lead.lead_source,
        country=lead.country,
        city=lead.city,
        tags=tuple(lead.tags),
        priority=lead.priority,
        status_code=lead.status.code,
        status_category=lead.status.category,
        last_contact_at=lead.last_contact_at,
    )


def values_of(leads: Sequence[Lead]) -> list[dict[str, Any]]:
    """Score, grade and lifecycle stage of unsaved or changed leads, in their order."""
    now = timezone.now()
    values = []
    for lead in leads:
        score = score_row(features_of(lead), now=now).total
        values.append({"score": score, "quality_grade": grade_of(score), "lifecycle_stage": lifecycle_of(score, lead.status.category)})
    return values


def breakdown_of(lead: Lead) -> Breakdown:
    return score_row(features_of(lead), now=timezone.now())
