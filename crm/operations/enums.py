from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """An operation's life: waiting → running → done, failed or cancelled."""

    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
