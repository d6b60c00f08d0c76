"""Reads of duplicates: how they are found, the groups somebody may see, and why two leads count as similar."""

from duplicates.selectors.comparing import (
    COMPARABLE,
    COMPARATOR_LABELS,
    CUSTOM,
    DEFAULT_FIELDS,
    Configuration,
    Weights,
    configuration,
    configured,
    forget_configuration,
    latest_scan,
    settings_of_tenant,
    weights_in_force,
)

__all__ = [
    "COMPARABLE",
    "COMPARATOR_LABELS",
    "CUSTOM",
    "DEFAULT_FIELDS",
    "Configuration",
    "Weights",
    "configuration",
    "configured",
    "forget_configuration",
    "latest_scan",
    "settings_of_tenant",
    "weights_in_force",
]
