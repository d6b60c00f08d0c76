"""Refusals of enrichment."""

from crm.errors import DomainError


class NoProvider(DomainError):
    """No provider is switched on."""

    code = "NO_ENRICHMENT_PROVIDER"


class ProviderTaken(DomainError):
    """Another provider of the tenant has this name."""

    code = "PROVIDER_TAKEN"
