"""Enrich leads: what is found goes into empty fields of the lead, or stays beside it, each value with where it came from.

A person's own value is never overwritten: a field is written where it is empty and was never filled by enrichment before (who
emptied it since wants it so), or where it still holds what enrichment wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError
from crm.tenancy.models import current_tenant
from enrichment.enums import DOCUMENTED, LEAD_FIELDS, OWN_FIELDS, RECENT, UNKNOWN, Outcome
from enrichment.errors import NoProvider
from enrichment.models import Enrichment, FieldSource
from enrichment.permissions import ENRICH
from enrichment.services.asking import Asked, Round, active_providers
from enrichment.services.providers import Found, LeadFacts, Limits, facts_of
from leads.models import Lead
from leads.permissions import CHANGE
from leads.selectors import leads_visible_to, lock_leads
from leads.services.changes import LeadChanges

# From this confidence on a value is written into the lead; below, it stands beside it as a suggestion.
WRITTEN_FROM = 0.7
CACHE_HOURS, MOST_AT_ONCE = 24, 5


@dataclass(frozen=True, kw_only=True)
class Options:
    """Document 0's options (rule 0.46)."""

    max_concurrent: int = MOST_AT_ONCE
    skip_recent: bool = True
    cache_hours: float = CACHE_HOURS


@dataclass(kw_only=True)
class LeadResult:
    """What enriching one lead came to. `fields` are those found now, `written` those of the lead that changed."""

    lead_id: int
    success: bool = True
    skipped: bool = False
    reason: str = ""
    data: dict[str, str] = field(default_factory=dict)
    fields: int = 0
    written: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Enriching:
    """Leads that are being enriched: those that were of late, with what is known of them, and the questions about the others.

    Begun in one transaction and finished in another. `fetch` asks the questions, which may take long, and belongs between the
    two, where no transaction is open and no lock held.
    """

    ids: list[int]
    recent: dict[int, dict[str, str]]
    asking: Round
    most_at_once: int = MOST_AT_ONCE

    @property
    def asks_others(self) -> bool:
        return bool(self.asking.questions)

    def fetch(self) -> None:
        self.asking.fetch(most_at_once=self.most_at_once)

    def stored(self) -> dict[str, Any]:
        """As JSON, when the questions were asked."""
        return {
            "ids": self.ids,
            "recent": list(self.recent),
            "asked": {str(pk): asked.stored() for pk, asked in self.asking.asked.items()},
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Enriching":
        """Back from JSON, to be finished."""
        asked = {int(pk): Asked.read(one) for pk, one in stored["asked"].items()}
        return cls(ids=stored["ids"], recent={pk: {} for pk in stored["recent"]}, asking=Round(providers=(), asked=asked))


def begin_enrichment(*, lead_ids: Sequence[int], options: Options | None = None, by: Actor) -> Enriching:
    """Find out what to ask about leads. Raises NoProvider where none is switched on, Forbidden."""
    by.require(ENRICH)
    by.require(CHANGE)
    options = options or Options()
    providers = active_providers()
    if not providers:
        raise NoProvider("No enrichment provider is switched on. See Settings, Enrichment.")
    ids = list(dict.fromkeys(lead_ids))
    there = list(leads_visible_to(by).filter(pk__in=ids).values_list("pk", flat=True))
    recent = recently_enriched(there, hours=options.cache_hours) if options.skip_recent else {}
    asking = Round(providers=providers)
    asking.begin(facts_about([pk for pk in there if pk not in recent]))
    return Enriching(ids=ids, recent=recent, asking=asking, most_at_once=options.max_concurrent)


def finish_enrichment(*, begun: Enriching, by: Actor) -> list[LeadResult]:
    """Write what was found, and answer for the leads in the order of their ids. One out of the actor's sight is not found."""
    by.require(ENRICH)
    by.require(CHANGE)
    results = {pk: LeadResult(lead_id=pk, success=False, reason="Lead not found.") for pk in begun.ids}
    results |= {pk: LeadResult(lead_id=pk, skipped=True, reason=RECENT, data=data) for pk, data in begun.recent.items()}
    begun.asking.keep()
    results |= write_found(asked=begun.asking.asked, by=by)
    return [results[pk] for pk in begun.ids]


def recently_enriched(ids: Sequence[int], *, hours: float) -> dict[int, dict[str, str]]:
    """Of these leads those that were enriched within so many hours, each with what was found."""
    since = timezone.now() - timedelta(hours=hours)
    rows = Enrichment.objects.filter(lead_id__in=ids, enriched_at__gt=since).exclude(outcome=Outcome.FAILED)
    recent: dict[int, dict[str, str]] = {pk: {} for pk in rows.values_list("lead_id", flat=True)}
    for lead_id, name, value in FieldSource.objects.filter(lead_id__in=list(recent)).values_list("lead_id", "field", "value"):
        recent[lead_id][name] = value
    return recent


def facts_about(ids: Sequence[int]) -> list[LeadFacts]:
    """The facts of leads, without what enrichment itself wrote into them."""
    written: dict[int, list[FieldSource]] = {}
    for source in FieldSource.objects.filter(lead_id__in=ids, applied=True):
        written.setdefault(source.lead_id, []).append(source)
    region = current_tenant().region
    leads = Lead.objects.filter(pk__in=ids).defer("search", "notes", "raw_field_data").order_by("pk")
    return [
        facts_of(lead, region=region, without=frozenset(source.field for source in written.get(lead.pk, ()) if source.stands_in(lead)))
        for lead in leads
    ]


# --- writing ---


def write_found(*, asked: Mapping[int, Asked], by: Actor) -> dict[int, LeadResult]:
    """Write what was found: into the leads, beside them, and that they were enriched. A handful of statements for all."""
    if not asked:
        return {}
    with transaction.atomic():
        lock_leads(asked)
        found = leads_visible_to(by).select_related("status").defer("search").filter(pk__in=list(asked))
        leads = {lead.pk: lead for lead in found.order_by("pk")}
        before: dict[int, dict[str, FieldSource]] = {pk: {} for pk in leads}
        for source in FieldSource.objects.filter(lead_id__in=list(leads)):
            before[source.lead_id][source.field] = source
        changes = LeadChanges(by=by)
        results: dict[int, LeadResult] = {}
        sources: list[FieldSource] = []
        for pk, lead in leads.items():
            written = _write_fields(lead, asked[pk], before[pk], changes)
            results[pk] = _result(pk, asked[pk], before[pk], written)
            sources += _sources(pk, lead, asked[pk], before[pk], written)
        changes.write()
        FieldSource.objects.bulk_create(
            sources,
            update_conflicts=True,
            unique_fields=["tenant", "lead", "field"],
            update_fields=["value", "confidence", "provider", "applied", "found_at"],
        )
        _note(results, asked, by=by)
    return results


def _write_fields(lead: Lead, asked: Asked, before: Mapping[str, FieldSource], changes: LeadChanges) -> dict[str, str]:
    """Try the values that the lead may take. Answers those that it has now because of enrichment."""
    written: dict[str, str] = {}
    limits = Limits()
    for name in LEAD_FIELDS:
        found = asked.found.get(name)
        value = limits.fit(name, found[0].value) if found is not None else ""
        if found is None or not value or found[0].confidence < WRITTEN_FROM or not may_write(lead, name, before.get(name)):
            continue
        try:
            changes.attempt(lead, lambda lead, name=name, value=value: setattr(lead, name, value))  # type: ignore[misc]
        except DomainError:
            continue
        written[name] = value
    return written


def may_write(lead: Lead, name: str, source: FieldSource | None) -> bool:
    """Whether a field holds nobody's own value, an emptied field counting as one's own."""
    present = getattr(lead, name)
    if source is not None and source.applied:
        return bool(present == source.value)
    return not present


def _result(pk: int, asked: Asked, before: Mapping[str, FieldSource], written: Mapping[str, str]) -> LeadResult:
    failed = bool(asked.troubles) and not asked.found
    data = {name: source.value for name, source in before.items()} | {name: found.value for name, (found, _by) in asked.found.items()}
    return LeadResult(
        lead_id=pk, success=not failed, reason="; ".join(asked.troubles)[:500], data=data, fields=_number(asked), written=list(written)
    )


def _number(asked: Asked) -> int:
    """Fields found, a lead's own and its twin counted once."""
    return len(
        set(asked.found)
        - ({"industry"} if "inferred_industry" in asked.found else set())
        - ({"country"} if "region" in asked.found else set())
    )


def _sources(pk: int, lead: Lead, asked: Asked, before: Mapping[str, FieldSource], written: Mapping[str, str]) -> list[FieldSource]:
    now = timezone.now()
    sources = []
    for name, (found, provider) in asked.found.items():
        earlier = before.get(name)
        # What stands in the lead stays on record as such, also where it is less sure now or somebody has changed it since.
        if name not in written and earlier is not None and earlier.applied:
            continue
        sources.append(_source(pk, name, found, provider, applied=name in written, now=now))
    return sources


def _source(pk: int, name: str, found: Found, provider: str, *, applied: bool, now: Any) -> FieldSource:
    value = Limits().fit(name, found.value)
    confidence = min(max(found.confidence, 0.0), 1.0)
    return FieldSource(lead_id=pk, field=name, value=value, confidence=confidence, provider=provider[:80], applied=applied, found_at=now)


def _note(results: Mapping[int, LeadResult], asked: Mapping[int, Asked], *, by: Actor) -> None:
    now = timezone.now()
    rows = [
        Enrichment(
            lead_id=pk,
            outcome=Outcome.FAILED if not result.success else Outcome.ENRICHED if result.fields else Outcome.NOTHING,
            enriched_at=now,
            providers=asked[pk].providers,
            fields_found=result.fields,
            error=result.reason,
            enriched_by_id=by.user_id,
            due_at=None,
        )
        for pk, result in results.items()
    ]
    names = ["outcome", "enriched_at", "providers", "fields_found", "error", "enriched_by", "due_at"]
    Enrichment.objects.bulk_create(rows, update_conflicts=True, unique_fields=["tenant", "lead"], update_fields=names)


def documented(data: Mapping[str, str]) -> dict[str, str]:
    """What was found, with document 0's keys always there."""
    own = {name: value for name, value in data.items() if name in OWN_FIELDS or name not in LEAD_FIELDS}
    return {**dict.fromkeys(DOCUMENTED, UNKNOWN), **own}
