"""Delete, restore, and delete for good. The bin keeps leads for 30 days (decision C45)."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import NotFound
from crm.events.bus import publish
from crm.registry import kept_apart
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from leads.events import LeadsDeleted, LeadsPurged, LeadsRestored
from leads.models import Lead, LeadQuerySet
from leads.permissions import DELETE, HARD_DELETE
from leads.selectors import leads_visible_to

KEPT_FOR = timedelta(days=30)
_PURGED_AT_ONCE = 1000


def delete_leads(*, lead_ids: Sequence[int], by: Actor) -> tuple[int, ...]:
    """Put leads in the actor's sight into the bin; the others are passed over. Answers the ids of those it did."""
    by.require(DELETE)
    with transaction.atomic():
        # Locked in one order: of two who delete the same leads at once, the second finds none.
        ids = _locked(leads_visible_to(by).filter(pk__in=lead_ids))
        if ids:
            now = timezone.now()
            Lead.objects.filter(pk__in=ids).update(deleted_at=now, updated_at=now)
            publish(LeadsDeleted(lead_ids=ids))
    return ids


def delete_lead(*, lead_id: int, by: Actor) -> None:
    if not delete_leads(lead_ids=[lead_id], by=by):
        raise NotFound("Lead not found.")


def restore_leads(*, lead_ids: Sequence[int], by: Actor) -> tuple[int, ...]:
    """Take leads out of the bin as they were; what is not in it is passed over. Answers the ids of those it did."""
    by.require(DELETE)
    with transaction.atomic():
        ids = _locked(binned_leads(by).filter(pk__in=lead_ids))
        if ids:
            Lead.objects.filter(pk__in=ids).update(deleted_at=None, updated_at=timezone.now())
            publish(LeadsRestored(lead_ids=ids))
    return ids


def restore_lead(*, lead_id: int, by: Actor) -> Lead:
    if not restore_leads(lead_ids=[lead_id], by=by):
        raise NotFound("This lead is not in the bin.")
    return Lead.objects.get(pk=lead_id)


def purge_leads(*, lead_ids: Sequence[int], by: Actor) -> tuple[int, ...]:
    """Delete leads in the actor's sight for good, in the bin or not. Answers the ids of those it did."""
    by.require(HARD_DELETE)
    with transaction.atomic():
        ids = _locked(leads_visible_to(by, with_deleted=True).filter(pk__in=lead_ids))
        _purge(ids)
    return ids


def purge_bin() -> int:
    """Delete for good, in every tenant, what has lain in the bin for KEPT_FOR. Answers how many."""
    purged = 0
    before = timezone.now() - KEPT_FOR
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        while True:
            with tenant_scope(tenant_id, by=Actor.system(tenant_id=tenant_id)):
                old = _not_apart(Lead.objects.filter(deleted_at__lt=before)).order_by("deleted_at", "pk")
                ids = tuple(old.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:_PURGED_AT_ONCE])
                _purge(ids)
            purged += len(ids)
            if len(ids) < _PURGED_AT_ONCE:
                break
    return purged


def _locked(leads: LeadQuerySet) -> tuple[int, ...]:
    return tuple(leads.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def _purge(ids: tuple[int, ...]) -> None:
    if ids:
        Lead.objects.filter(pk__in=ids).delete()
        publish(LeadsPurged(lead_ids=ids))


def binned_leads(actor: Actor) -> LeadQuerySet:
    """What the actor could see of the last 30 days' deleted leads, newest first."""
    since = timezone.now() - KEPT_FOR
    return _not_apart(leads_visible_to(actor, with_deleted=True).filter(deleted_at__gte=since)).order_by("-deleted_at", "-pk")


def _not_apart(leads: LeadQuerySet) -> LeadQuerySet:
    """Without those that another app still needs, such as the ones merged into others."""
    for needed in kept_apart.of("leads.Lead"):
        leads = leads.exclude(pk__in=needed())
    return leads
