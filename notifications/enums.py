from django.db import models
from django.utils.translation import gettext_lazy as _


class ByMail(models.TextChoices):
    """When a kind of notification is mailed."""

    NEVER = "never", _("Never")
    DAILY = "daily", _("In the daily summary")
    AT_ONCE = "at_once", _("At once")
