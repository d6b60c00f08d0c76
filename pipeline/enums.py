"""Vocabularies of service levels."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SlaKind(models.TextChoices):
    """What is measured."""

    FIRST_RESPONSE = "first_response", _("First response")
    TIME_IN_STAGE = "time_in_stage", _("Time in a stage")


class SlaHours(models.TextChoices):
    """Whose working time counts."""

    TENANT = "tenant", _("The company's working hours")
    TEAM = "team", _("The owner's own or their team's working hours")
    LEAD = "lead", _("The company's hours, on the clock of the lead's phone number")
    ALWAYS = "always", _("Round the clock")


class SlaState(models.TextChoices):
    """Where a clock stands. Once it has ended it is met or breached."""

    ON_TRACK = "on_track", _("On track")
    DUE_SOON = "due_soon", _("Due soon")
    BREACHED = "breached", _("Breached")
    PAUSED = "paused", _("Paused")
    MET = "met", _("Met")


class StepAction(models.TextChoices):
    """What an escalation does."""

    NOTIFY_OWNER = "notify_owner", _("Tell the owner")
    NOTIFY_MANAGER = "notify_manager", _("Tell the managers")
    NOTIFY_USER = "notify_user", _("Tell somebody")
    RAISE_PRIORITY = "raise_priority", _("Raise the priority")
    REASSIGN = "reassign", _("Give the lead to somebody")
