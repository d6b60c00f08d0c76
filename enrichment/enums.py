"""Vocabularies of enrichment."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    """What the last enrichment of a lead came to."""

    ENRICHED = "enriched", _("Enriched")
    NOTHING = "nothing", _("Nothing found")
    FAILED = "failed", _("Failed")


UNKNOWN = "unknown"
RECENT = "Recently enriched"
# What is found about a lead and has no column of its own there. The first five are document 0's (rule 0.48).
DOCUMENTED = ("inferred_industry", "business_likelihood", "seniority_level", "decision_making_power", "estimated_network_size")
OWN_FIELDS: dict[str, object] = {
    "inferred_industry": _("Likely industry"),
    "business_likelihood": _("Business likelihood"),
    "seniority_level": _("Seniority"),
    "decision_making_power": _("Decision power"),
    "estimated_network_size": _("Network"),
    "region": _("Region"),
    "time_zone": _("Time zone"),
}
# The lead's own fields that enrichment may fill where they are empty. What a lead is known by is none of them.
LEAD_FIELDS = ("company", "title", "website", "industry", "company_size", "city", "state", "country")
