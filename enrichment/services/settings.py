"""Set up providers, try one out, and what a new tenant has from the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.sealed import seal
from crm.tenancy.models import Tenant, current_tenant
from enrichment.errors import ProviderTaken
from enrichment.models import CachedAnswer, ProviderSettings
from enrichment.permissions import CONFIGURE
from enrichment.services import http_provider, inference
from enrichment.services.providers import Answer, ProviderTrouble, facts_of, kind_named
from leads.services.editing import find_lead


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a provider is to be set to. `headers` None keeps the ones that are sealed; empty forgets them."""

    name: str
    is_active: bool = True
    on_capture: bool = False
    options: Mapping[str, Any] | None = None
    headers: str | None = None


def save_provider(*, provider: ProviderSettings | None, wanted: Wanted, by: Actor) -> ProviderSettings:
    """Change a provider, or add one that asks an HTTP service. Raises InvalidInput by field, ProviderTaken."""
    by.require(CONFIGURE)
    row = provider or ProviderSettings(kind=http_provider.CODE, position=ProviderSettings.objects.count() + 1)
    row.is_active, row.on_capture = wanted.is_active, wanted.on_capture
    if row.kind == http_provider.CODE:
        row.name = wanted.name.strip()[:80]
        if not row.name:
            raise InvalidInput({"name": ["Give it a name."]})
        row.options = http_provider.clean_options({**row.options, **(wanted.options or {})})
        if wanted.headers is not None:
            headers = http_provider.clean_headers(wanted.headers)
            row.secret = seal(orjson.dumps(headers).decode()) if headers else ""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise ProviderTaken("Another provider has this name.", field="name") from None
    # What was answered under other settings says nothing about these.
    CachedAnswer.objects.filter(provider=row).delete()
    return row


def delete_provider(*, provider: ProviderSettings, by: Actor) -> None:
    """Ask it no more. What it found stays with its name. A built-in one can only be switched off."""
    by.require(CONFIGURE)
    kind = kind_named(provider.kind)
    if kind is not None and kind.built_in:
        raise InvalidInput({"": ["A built-in provider can be switched off, not deleted."]})
    provider.delete()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a provider would answer about one lead, or why it would not."""

    answer: Answer
    problem: str = ""


def try_provider(*, provider: ProviderSettings, lead_id: int, by: Actor) -> Trial:
    """Ask a provider about one lead and write nothing, cache nothing."""
    by.require(CONFIGURE)
    lead = find_lead(lead_id=lead_id, by=by)
    facts = facts_of(lead, region=current_tenant().region)
    kind = kind_named(provider.kind)
    try:
        if kind is None:
            return Trial(answer={}, problem="There is no such kind of provider any more.")
        made = kind.build(provider)
        if made.outside and made.key(facts) is None:
            return Trial(answer={}, problem="The lead lacks one of the facts that the address or body needs.")
        return Trial(answer=made.enrich(facts))
    except (ProviderTrouble, ValueError) as trouble:
        return Trial(answer={}, problem=str(trouble))


def set_up_providers(tenant: Tenant) -> None:
    """What needs nobody else is on from the start, for new leads too."""
    ProviderSettings.objects.get_or_create(kind=inference.CODE, defaults={"name": "Inference", "on_capture": True})
