"""Sources that push or are asked for leads, how their fields are read, and the arrivals that wait to be read."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from webhooks.enums import SourceKind


@track(exclude=("token", "signing_secret", "last_error", "last_error_at", "checked_at"))
class Source(TenantOwned):
    """A place leads come from by themselves: a Facebook page, another system's webhook, a mailbox.

    `external_id` is the source's own id (a page's id, a mailbox's address). `token` and `signing_secret` are sealed.
    `options` are the kind's own settings.
    """

    kind = models.CharField(_("kind"), max_length=12, choices=SourceKind)
    name = models.CharField(_("name"), max_length=80)
    external_id = models.CharField(_("id at the source"), max_length=254, blank=True)
    token = models.TextField(blank=True, editable=False)
    signing_secret = models.TextField(blank=True, editable=False)
    options = models.JSONField(_("settings"), default=dict, blank=True)
    lead_source = models.CharField(_("source of its leads"), max_length=60, blank=True)
    default_owner = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("give leads to"))
    tags = ArrayField(models.CharField(max_length=50), verbose_name=_("tags"), default=list, blank=True)
    is_active = models.BooleanField(_("takes leads"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    checked_at = models.DateTimeField(_("last asked"), null=True, editable=False)
    last_error = models.CharField(_("last trouble"), max_length=500, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["kind", "name", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "name"], name="webhooks_source_name")]

    def __str__(self) -> str:
        return self.name


class SourceKey(models.Model):
    """By what a source is found before its tenant is known: `facebook:<page id>`, or the secret part of its address.

    Unpoliced; it holds no customer data.
    """

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    source = models.OneToOneField(Source, models.CASCADE, related_name="key", db_constraint=False)
    key = models.CharField(max_length=120, unique=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "source"], name="webhooks_key_source")]

    def __str__(self) -> str:
        return self.key


@track()
class FieldMapping(TenantOwned):
    """How one form of a source fills a lead's fields. An empty `form_id` serves the forms without a mapping of their own.

    `rules` is a list of {"field", "from": [paths], "join", "default"}; `field` is a lead's field or `custom:<name>`.
    """

    source = TenantForeignKey(Source, models.CASCADE, related_name="mappings", verbose_name=_("source"))
    form_id = models.CharField(_("form id"), max_length=64, blank=True)
    form_name = models.CharField(_("form"), max_length=150, blank=True)
    rules = models.JSONField(_("rules"), default=list)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["form_id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "source", "form_id"], name="webhooks_mapping_form")]

    def __str__(self) -> str:
        return self.form_name or self.form_id or str(_("All forms"))


class ArrivalJob(models.Model):
    """An arrival that waits to be read, and when it may be tried. A worker at work holds it by moving `due_at` ahead.

    Unpoliced: workers look across tenants; ids only.
    """

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    arrival_id = models.BigIntegerField(unique=True)
    due_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["due_at", "id"], name="webhooks_job_due")]

    def __str__(self) -> str:
        return f"arrival {self.arrival_id}"
