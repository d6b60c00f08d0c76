"""What enrichment does when something happens elsewhere."""

from collections.abc import Sequence

from django.db import transaction

from crm.actors import Actor, Door
from crm.events import nudge
from crm.tenancy.scope import current_tenant_id
from enrichment.services.bulk import enrich_new
from leads.events import LeadsCaptured


def enrich_captured(events: Sequence[LeadsCaptured]) -> None:
    """New leads are enriched, unless who sent them asked not to. Those of an import are when its options say so."""
    wanted = (event for event in events if (event.door != Door.IMPORT if event.enrich is None else event.enrich))
    ids = tuple(pk for event in wanted for pk in event.lead_ids)
    if ids:
        enrich_new(lead_ids=ids, by=Actor.system(tenant_id=current_tenant_id(), label="enrichment"))
        transaction.on_commit(lambda: nudge.once("enrichment.enrich_due"))
