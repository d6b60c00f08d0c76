"""Words of assignment."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Method(models.TextChoices):
    """How a rule picks among those who can take a lead."""

    ROUND_ROBIN = "round_robin", _("In turn")
    WEIGHTED = "weighted", _("In turn, by weight")
    LEAST_LOADED = "least_loaded", _("Fewest open leads")
    COMPANY_OWNER = "company_owner", _("Who has the company")
    STICKY = "sticky", _("Who had the person before")
    TERRITORY = "territory", _("By territory")


class Fallback(models.TextChoices):
    """What happens to a lead that matches a rule when nobody of it can take it."""

    NEXT = "next", _("Ask the next rule")
    WAIT = "wait", _("Wait in the catch-all queue")
    USER = "user", _("Give it to one person")


class Skip(models.TextChoices):
    """Why somebody was passed over."""

    INACTIVE = "inactive", _("no longer active")
    PAUSED = "paused", _("takes no leads")
    ON_LEAVE = "on_leave", _("on leave")
    OFF_SHIFT = "off_shift", _("off shift")
    FULL_TODAY = "full_today", _("full for today")
    FULL = "full", _("full")


class Nobody(models.TextChoices):
    """Why a rule that matched gave a lead to nobody."""

    NO_CANDIDATE = "no_candidate", _("nobody of it could take it")
    NO_COMPANY_OWNER = "no_company_owner", _("nobody has the company")
    NO_EARLIER_OWNER = "no_earlier_owner", _("nobody had the person before")
    NO_TERRITORY = "no_territory", _("its place is in no territory")
