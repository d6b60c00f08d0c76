"""What the dialer hears of leads."""

from django.utils import timezone

from dialer.models import QueueEntry
from dialer.services.waking import look_again
from leads.events import LeadsRestored


def call_again(event: LeadsRestored) -> None:
    """Leads that came back from the bin are called again, as far as they were put aside for being there."""
    phones = QueueEntry.objects.filter(lead_id__in=event.lead_ids, deleted_at=None).values_list("phone", flat=True)
    look_again(phones=sorted(set(phones)), now=timezone.now())
