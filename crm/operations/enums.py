from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """An operation's life: waiting → running → done, failed or cancelled. A draft is still being put together by its author."""

    DRAFT = "draft", _("Draft")
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class RowOutcome(models.TextChoices):
    """Why a row is kept with its operation."""

    FAILED = "failed", _("Failed")
    SKIPPED = "skipped", _("Skipped")
