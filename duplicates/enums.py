"""Words of duplicates."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    """What somebody decided about two leads."""

    SEPARATE = "separate", _("Kept separate")
    LATER = "later", _("Put off")


class ScanState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
