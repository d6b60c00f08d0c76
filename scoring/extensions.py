"""What scoring gives the kernel's registries."""

from crm.registry import Section, computed_values, sections
from scoring.services import breakdown_of, values_of

computed_values.add("leads.Lead", values_of)

_LABELS = {
    "contact_info": ("Contact information", 20),
    "company_info": ("Company", 25),
    "lead_source": ("Source", 15),
    "engagement": ("Engagement", 20),
    "priority_status": ("Priority and status", 10),
    "tags_bonus": ("Tags", 5),
    "geographic_bonus": ("Location", 5),
}


def _score_section(lead: object, actor: object) -> dict[str, object]:
    breakdown = breakdown_of(lead)  # type: ignore[arg-type]
    parts = [{"label": label, "points": getattr(breakdown, name), "most": most} for name, (label, most) in _LABELS.items()]
    return {"lead": lead, "total": breakdown.total, "parts": parts}


sections.add("leads.Lead", Section(name="score", build=_score_section, template="scoring/score_section.html"), order=10)
