"""Vocabularies of a lead (decisions, "Ids, people, vocabularies")."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.words import word_key


class Priority(models.IntegerChoices):
    """Stored as a rank, so that it sorts; its word is document 0's."""

    LOW = 1, _("Low")
    MEDIUM = 2, _("Medium")
    HIGH = 3, _("High")
    CRITICAL = 4, _("Critical")


# Activities call their top priority "urgent" (decision C18).
_PRIORITIES = {word_key(priority.name): priority for priority in Priority} | {"urgent": Priority.CRITICAL}


def read_priority(word: str) -> Priority:
    """The priority a word names, whatever its case; raises ValueError with the words that do."""
    found = _PRIORITIES.get(word_key(word))
    if found is None:
        raise ValueError("Must be one of low, medium, high, critical.")
    return found


class Platform(models.TextChoices):
    """The channel a lead came in by (document 1's `platform_key`)."""

    FACEBOOK = "facebook", _("Facebook")
    INSTAGRAM = "instagram", _("Instagram")
    WEBSITE = "website", _("Website")
    API = "api", _("API")
    MANUAL = "manual", _("By hand")
    IMPORT = "import", _("Import")
    EMAIL = "email", _("E-mail")
    OTHER = "other", _("Other")


class StatusCategory(models.TextChoices):
    """What a status means to the product, whatever a tenant calls it."""

    OPEN = "open", _("Open")
    WON = "won", _("Won")
    LOST = "lost", _("Lost")


class ProcessingStatus(models.TextChoices):
    """Where an arrival stands (rule 1.7)."""

    RECEIVED = "received", _("Received")
    PROCESSED = "processed", _("Processed")
    FAILED = "failed", _("Failed")


# The five sources document 0 scores, and what else doors produce; other text is kept as it comes.
KNOWN_SOURCES = ("Referral", "Website", "LinkedIn", "Trade Show", "Cold Call", "Facebook", "Instagram", "E-mail", "Partner", "Event")
_SOURCES = {word_key(source): source for source in KNOWN_SOURCES}


def canonical_source(text: str) -> str:
    """A known marketing source in its own spelling; other text as it is."""
    return _SOURCES.get(word_key(text), text)


COMPANY_SIZES = ("1-10", "11-50", "50-200", "200-500", "500-1000", "1000+")
NOT_INTERESTED = "not_interested"
# The eight statuses of rule 1.32, numbered in its order: code, label, description, category.
DEFAULT_STATUSES = (
    (1, "new", _("New"), _("Lead received from webhook or ingestion"), StatusCategory.OPEN),
    (2, "qualified", _("Qualified"), _("Qualified and ready for contact"), StatusCategory.OPEN),
    (3, "contacted", _("Contacted"), _("Initial contact made with prospect"), StatusCategory.OPEN),
    (4, "meeting_scheduled", _("Meeting scheduled"), _("Meeting or call scheduled"), StatusCategory.OPEN),
    (5, "proposal_sent", _("Proposal sent"), _("Proposal or quote sent"), StatusCategory.OPEN),
    (6, "negotiation", _("Negotiation"), _("In negotiation"), StatusCategory.OPEN),
    (7, "won", _("Won"), _("Converted to customer"), StatusCategory.WON),
    (8, "lost", _("Lost"), _("Lead lost or disqualified"), StatusCategory.LOST),
)
DEFAULT_TRANSITIONS = {
    "new": ("qualified", "lost"),
    "qualified": ("contacted", "lost"),
    "contacted": ("meeting_scheduled", "proposal_sent", "lost"),
    "meeting_scheduled": ("contacted", "proposal_sent", "lost"),
    "proposal_sent": ("negotiation", "won", "lost"),
    "negotiation": ("proposal_sent", "won", "lost"),
    "lost": ("new",),
    "won": (),
}
# Document 0's coarse words (decisions C13–C17): the statuses each stands for in filters, the first the one written.
COARSE_STATUSES = {
    "follow_up": ("contacted", "meeting_scheduled", "proposal_sent", "negotiation"),
    "converted": ("won",),
    NOT_INTERESTED: ("lost",),
}
