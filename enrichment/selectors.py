"""Reads of enrichment."""

from dataclasses import dataclass
from typing import Any

from crm.errors import NotFound
from enrichment.enums import LEAD_FIELDS, OWN_FIELDS
from enrichment.models import Enrichment, FieldSource, ProviderSettings
from leads.models import Lead


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one field of a lead: `in_use` is what the lead itself holds by it, `suggested` what it does not."""

    field: str
    label: Any
    source: FieldSource
    in_use: bool
    suggested: bool

    @property
    def percent(self) -> int:
        return round(self.source.confidence * 100)


def enrichment_of(lead: Lead) -> tuple[Enrichment | None, list[Known]]:
    """A lead's last enrichment, and what was found field by field: the product's own vocabulary first."""
    enrichment = Enrichment.objects.select_related("enriched_by").filter(lead=lead).first()
    sources = {source.field: source for source in FieldSource.objects.filter(lead=lead)}
    order = [*OWN_FIELDS, *LEAD_FIELDS]
    known = []
    for name in sorted(sources, key=lambda name: (order.index(name) if name in order else len(order), name)):
        source = sources[name]
        # A twin that says nothing more than the field above it.
        if (name, "inferred_industry") in _twins(sources) or (name, "region") in _twins(sources):
            continue
        in_use = source.stands_in(lead)
        suggested = name in LEAD_FIELDS and not in_use and getattr(lead, name) != source.value
        known.append(Known(field=name, label=_label(name), source=source, in_use=in_use, suggested=suggested))
    return enrichment, known


def _twins(sources: dict[str, FieldSource]) -> set[tuple[str, str]]:
    pairs = (("industry", "inferred_industry"), ("country", "region"))
    return {
        (name, twin)
        for name, twin in pairs
        if name in sources and twin in sources and sources[name].value == sources[twin].value and not sources[name].applied
    }


def _label(name: str) -> Any:
    if name in OWN_FIELDS:
        return OWN_FIELDS[name]
    if name in LEAD_FIELDS:
        label = str(Lead._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
        return label[:1].upper() + label[1:]
    return name.replace("_", " ").capitalize()


def find_provider(pk: int) -> ProviderSettings:
    """A provider of the open tenant. Raises NotFound."""
    provider = ProviderSettings.objects.filter(pk=pk).first() if pk < 2**63 else None
    if provider is None:
        raise NotFound("No such provider.")
    return provider


def found_for(ids: list[int]) -> dict[int, dict[str, str]]:
    """What was found for many leads, for exports."""
    found: dict[int, dict[str, str]] = {}
    rows = FieldSource.objects.filter(lead_id__in=ids, field__in=list(OWN_FIELDS)).values_list("lead_id", "field", "value")
    for lead_id, name, value in rows:
        found.setdefault(lead_id, {})[name] = value
    return found
