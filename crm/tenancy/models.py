"""Tenants and the base of everything they own."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.tenancy.managers import TenantManager, bind_tenant
from crm.tenancy.scope import current_scope


class Tenant(models.Model):
    """A company that uses this install; the API's "entity" (rules 1.5, 1.16). Not under row-level security: it is the wall."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    display_name = models.CharField(_("display name"), max_length=150, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    region = models.CharField(
        _("region"), max_length=2, default="US", help_text=_("Country used to read phone numbers without a country code.")
    )
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    working_hours = models.JSONField(
        _("working hours"), default=dict, blank=True, help_text=_('Per weekday, 0 = Monday: {"0": ["09:00", "17:00"]}.')
    )
    open_form = models.BooleanField(
        _("open web form"), default=False, help_text=_("Take website leads that name this tenant by entity_id, without a form key.")
    )
    settings = models.JSONField(_("further settings"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.display_name or self.name


class TenantOwned(models.Model):
    """Base of every model whose rows belong to one tenant: scoped manager, write guard, policies laid after migration."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", editable=False, db_index=False)

    objects = TenantManager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        bind_tenant(self)
        super().save(*args, **kwargs)


def current_tenant() -> Tenant:
    """The open tenant itself, read once for the work in progress."""
    memo = current_scope().memo
    if "tenant" not in memo:
        memo["tenant"] = Tenant.objects.get(pk=current_scope().tenant_id)
    tenant: Tenant = memo["tenant"]
    return tenant
