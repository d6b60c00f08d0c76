"""Kinds of sources."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SourceKind(models.TextChoices):
    """What a source is, which says how it is found and who reads what it sends."""

    FACEBOOK = "facebook", _("Facebook page")
    WEBHOOK = "webhook", _("Webhook")
    EMAIL = "email", _("Mailbox")
