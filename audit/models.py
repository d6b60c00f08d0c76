"""What changes no row and is worth knowing: sign-ins, exports, reading a secret."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned


class AuditEvent(TenantOwned):
    """An act that left no changed row behind."""

    at = models.DateTimeField(_("when"), auto_now_add=True)
    user = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("who"))
    actor = models.CharField(_("actor"), max_length=150)
    door = models.CharField(_("door"), max_length=10)
    action = models.CharField(_("what"), max_length=60)
    subject = models.CharField(_("of what"), max_length=200, blank=True)
    details = models.JSONField(_("details"), default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["tenant", "-id"], name="audit_newest"),
            models.Index(fields=["tenant", "action", "-id"], name="audit_action"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action}"
