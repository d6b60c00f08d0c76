"""Set up providers, try one out, and what a new tenant has from the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from enrichment.services.providers import Answer, LeadFacts, Provider, ProviderTrouble, facts_of, kind_named
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


@dataclass(kw_only=True)
class Trial:
    """A provider and the facts it is to be tried on; then what it answered, or why it did not."""

    lead_id: int
    facts: LeadFacts
    provider: Provider | None = None
    answer: Answer = field(default_factory=dict)
    problem: str = ""

    def ask(self) -> None:
        """May take long and needs no database: to be called where no transaction is open."""
        if self.provider is None:
            return
        try:
            self.answer = self.provider.enrich(self.facts)
        except (ProviderTrouble, ValueError) as trouble:
            self.problem = str(trouble)


def try_provider(*, provider: ProviderSettings, lead_id: int, by: Actor) -> Trial:
    """Prepare to ask a provider about one lead, writing nothing and caching nothing. Raises NotFound."""
    by.require(CONFIGURE)
    lead = find_lead(lead_id=lead_id, by=by)
    trial = Trial(lead_id=lead_id, facts=facts_of(lead, region=current_tenant().region))
    kind = kind_named(provider.kind)
    if kind is None:
        trial.problem = "There is no such kind of provider any more."
        return trial
    try:
        made = kind.build(provider)
    except ValueError as trouble:
        trial.problem = str(trouble)
        return trial
    if made.outside and made.key(trial.facts) is None:
        trial.problem = "The lead lacks one of the facts that the address or body needs."
    else:
        trial.provider = made
    return trial


def set_up_providers(tenant: Tenant) -> None:
    """What needs nobody else is on from the start, for new leads too."""
    ProviderSettings.objects.get_or_create(kind=inference.CODE, defaults={"name": "Inference", "on_capture": True})
