"""Vocabularies of sign-in and access."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RoleCode(models.TextChoices):
    """The built-in roles (decision C39). A tenant may add its own beside them."""

    ADMIN = "admin", _("Admin")
    MANAGER = "manager", _("Manager")
    SALES_REP = "sales_rep", _("Sales Rep")
    SUPPORT = "support", _("Support")


class RateClass(models.TextChoices):
    """A caller's class for the hourly limits (decision C42)."""

    STANDARD = "standard", _("Standard")
    PREMIUM = "premium", _("Premium")
    API = "api", _("API integration")


class SessionKind(models.TextChoices):
    PAGE = "page", _("Browser")
    API = "api", _("API")
