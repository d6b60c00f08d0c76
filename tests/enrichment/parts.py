"""Enriching for tests."""

from collections.abc import Sequence

from crm.actors import Actor
from enrichment.services.enriching import LeadResult, Options, begin_enrichment, finish_enrichment


def enrich_leads(*, lead_ids: Sequence[int], options: Options | None = None, by: Actor) -> list[LeadResult]:
    """Begin, ask and finish."""
    begun = begin_enrichment(lead_ids=lead_ids, options=options, by=by)
    begun.fetch()
    return finish_enrichment(begun=begun, by=by)
