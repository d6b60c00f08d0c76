"""The providers a tenant asks, what they answered, and which of a lead's values came from where."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from enrichment.enums import Outcome
from leads.models import Lead


@track()
class ProviderSettings(TenantOwned):
    """A provider as a tenant uses it. `options` are its kind's own; its secrets are sealed and never shown again."""

    kind = models.SlugField(_("kind"), max_length=20, db_index=False)
    name = models.CharField(_("name"), max_length=80)
    is_active = models.BooleanField(_("in use"), default=True)
    on_capture = models.BooleanField(_("asked about every new lead"), default=False)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    options = models.JSONField(_("settings"), default=dict, blank=True)
    secret = models.TextField(_("secret headers"), blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name_plural = _("provider settings")
        permissions = [("enrich_leads", "Can enrich leads")]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="enrichment_provider_name")]

    def __str__(self) -> str:
        return self.name


class CachedAnswer(TenantOwned):
    """What a provider answered to a question, known by its hash: the question may hold personal data."""

    provider = TenantForeignKey(ProviderSettings, models.CASCADE, related_name="answers")
    key = models.CharField(max_length=64)
    found = models.JSONField(default=dict)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "provider", "key"], name="enrichment_answer_once")]
        indexes = [models.Index(fields=["tenant", "expires_at"], name="enrichment_answer_old")]

    def __str__(self) -> str:
        return self.key


class Enrichment(TenantOwned):
    """The last enrichment of a lead, or that it waits for one (`due_at`)."""

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="enrichments")
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome, blank=True)
    enriched_at = models.DateTimeField(_("enriched"), null=True)
    providers = models.JSONField(_("asked"), default=list)
    fields_found = models.PositiveSmallIntegerField(_("fields found"), default=0)
    error = models.CharField(_("what went wrong"), max_length=500, blank=True)
    enriched_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "lead"], name="enrichment_of_lead_once")]
        indexes = [models.Index(fields=["tenant", "due_at"], name="enrichment_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.outcome or 'due'}"


class FieldSource(TenantOwned):
    """What was found for one field of a lead, by whom, when, how surely; `applied` says that it was written into the lead."""

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="field_sources")
    field = models.CharField(_("field"), max_length=40)
    value = models.CharField(_("value"), max_length=300)
    confidence = models.FloatField(_("confidence"))
    provider = models.CharField(_("provider"), max_length=80)
    applied = models.BooleanField(_("written into the lead"), default=False)
    found_at = models.DateTimeField(_("found"))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "lead", "field"], name="enrichment_field_once"),
            models.CheckConstraint(condition=Q(confidence__gte=0, confidence__lte=1), name="enrichment_confidence_range"),
        ]

    def __str__(self) -> str:
        return f"{self.field} = {self.value}"

    def stands_in(self, lead: Any) -> bool:
        """Whether the lead still holds what was written: a value of its own since then is somebody's."""
        return self.applied and getattr(lead, self.field, None) == self.value
