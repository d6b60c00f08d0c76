"""Delete and restore. Delete is soft everywhere; the bin keeps leads for 30 days (decision C45)."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import NotFound
from crm.events.bus import publish
from leads.events import LeadsDeleted, LeadsRestored
from leads.models import Lead, LeadQuerySet
from leads.permissions import DELETE
from leads.selectors import leads_visible_to

KEPT_FOR = timedelta(days=30)


def delete_leads(*, lead_ids: Sequence[int], by: Actor) -> int:
    """Put leads in the actor's sight into the bin; the others are passed over. Answers how many."""
    by.require(DELETE)
    with transaction.atomic():
        # Locked in one order: of two who delete the same leads at once, the second finds none.
        there = leads_visible_to(by).filter(pk__in=lead_ids).select_for_update(of=("self",)).order_by("pk")
        ids = tuple(there.values_list("pk", flat=True))
        if ids:
            now = timezone.now()
            Lead.objects.filter(pk__in=ids).update(deleted_at=now, updated_at=now)
            publish(LeadsDeleted(lead_ids=ids))
    return len(ids)


def delete_lead(*, lead_id: int, by: Actor) -> None:
    if not delete_leads(lead_ids=[lead_id], by=by):
        raise NotFound("Lead not found.")


def restore_lead(*, lead_id: int, by: Actor) -> Lead:
    """Take a lead out of the bin as it was."""
    by.require(DELETE)
    with transaction.atomic():
        lead = binned_leads(by).select_for_update(of=("self",)).filter(pk=lead_id).first()
        if lead is None:
            raise NotFound("This lead is not in the bin.")
        lead.deleted_at = None
        lead.save(update_fields=["deleted_at", "updated_at"])
        publish(LeadsRestored(lead_ids=(lead.pk,)))
    return lead


def binned_leads(actor: Actor) -> LeadQuerySet:
    """What the actor could see of the last 30 days' deleted leads, newest first."""
    since = timezone.now() - KEPT_FOR
    return leads_visible_to(actor, with_deleted=True).filter(deleted_at__gte=since).order_by("-deleted_at", "-pk")
