"""Vocabularies of activities (rule 1.48, decisions C18 and C19)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.words import word_key


class ActivityType(models.TextChoices):
    """Document 1's seven, then what the product adds."""

    CALL = "call", _("Call")
    EMAIL = "email", _("E-mail")
    MEETING = "meeting", _("Meeting")
    NOTE = "note", _("Note")
    STATUS_CHANGE = "status_change", _("Status change")
    ASSIGNMENT = "assignment", _("Assignment")
    FOLLOW_UP = "follow_up", _("Follow-up")
    TASK = "task", _("Task")
    SMS = "sms", _("Text message")
    SYSTEM = "system", _("System")


class ActivityStatus(models.TextChoices):
    PENDING = "pending", _("Pending")
    COMPLETED = "completed", _("Completed")
    CANCELLED = "cancelled", _("Cancelled")


class ActivityPriority(models.IntegerChoices):
    """Stored as a rank, so that it sorts; the ranks are a lead's."""

    LOW = 1, _("Low")
    MEDIUM = 2, _("Medium")
    HIGH = 3, _("High")
    URGENT = 4, _("Urgent")

    @property
    def word(self) -> str:
        return self.name.lower()


# A lead calls its top priority "critical" (decision C18).
PRIORITY_WORDS = {priority.word: priority for priority in ActivityPriority} | {"critical": ActivityPriority.URGENT}

# Ways of speaking with somebody: done, they are the lead's last contact.
CONTACTS = (ActivityType.CALL, ActivityType.EMAIL, ActivityType.MEETING, ActivityType.SMS)
# The steps that a lead's date for following up stands for: it moves and closes these. The database's triggers name them too.
STEPS = (ActivityType.FOLLOW_UP, ActivityType.CALL, ActivityType.EMAIL, ActivityType.SMS)
# What people can be asked to do.
TO_DO = (*STEPS, ActivityType.TASK, ActivityType.MEETING)

# Document 0's words on the timeline: (completed, any other state).
TIMELINE_WORDS = {
    ActivityType.CALL: ("call_made", "call_planned"),
    ActivityType.EMAIL: ("email_sent", "email_planned"),
    ActivityType.MEETING: ("meeting_held", "meeting_scheduled"),
    ActivityType.NOTE: ("note_added", "note_added"),
    ActivityType.STATUS_CHANGE: ("status_changed", "status_changed"),
    ActivityType.ASSIGNMENT: ("lead_assigned", "lead_assigned"),
    ActivityType.FOLLOW_UP: ("follow_up_completed", "follow_up_scheduled"),
    ActivityType.TASK: ("task_completed", "task_created"),
    ActivityType.SMS: ("sms_sent", "sms_planned"),
    ActivityType.SYSTEM: ("system_event", "system_event"),
}
CATEGORIES = {
    **dict.fromkeys(CONTACTS, "communication"),
    **dict.fromkeys(
        (ActivityType.NOTE, ActivityType.STATUS_CHANGE, ActivityType.ASSIGNMENT, ActivityType.FOLLOW_UP, ActivityType.TASK),
        "lead_management",
    ),
    ActivityType.SYSTEM: "data_management",
}


def read_type(word: str) -> ActivityType:
    """The type a word names, whatever its case. Raises ValueError with the words that do."""
    key = word_key(word)
    found = next((item for item in ActivityType if key in (item.value, word_key(str(item.label)))), None)
    if found is None:
        raise ValueError(f"Must be one of {', '.join(ActivityType.values)}.")
    return found


def read_priority(word: str) -> ActivityPriority:
    found = PRIORITY_WORDS.get(word_key(word))
    if found is None:
        raise ValueError(f"Must be one of {', '.join(item.word for item in ActivityPriority)}.")
    return found


def read_status(word: str) -> ActivityStatus:
    key = word_key(word)
    if key not in ActivityStatus.values:
        raise ValueError(f"Must be one of {', '.join(ActivityStatus.values)}.")
    return ActivityStatus(key)
