"""How a tenant's duplicates are found: compared fields, threshold, nightly scan."""

from collections.abc import Mapping, Sequence

from django.db import transaction

from crm.actors import Actor
from crm.errors import InvalidInput
from duplicates.models import DuplicateSettings
from duplicates.permissions import CONFIGURE
from duplicates.selectors import COMPARABLE, CUSTOM, forget_configuration, settings_of_tenant
from duplicates.selectors.certain import LEAST_SURE
from duplicates.services.scanning import ask_for_scan
from matching.comparing import COMPARATORS

MOST_FIELDS = 16
LEAST_THRESHOLD, MOST_THRESHOLD = 0.5, 0.999
# Comparators that read more than one column stand for one field alone.
_OWN = {"person": "name", "organisation": "company"}


def save_settings(
    *,
    fields: Sequence[Mapping[str, str]],
    threshold: float,
    nightly: bool,
    auto_merge: bool | None = None,
    auto_merge_from: float | None = None,
    by: Actor,
) -> DuplicateSettings:
    """Store the settings. Where other fields are compared from now on, all leads are looked through anew.

    Automatic merging stays as it is where nothing is said of it.
    """
    by.require(CONFIGURE)
    clean = [_clean(row) for row in fields]
    names = [row["name"] for row in clean]
    if not clean:
        raise InvalidInput({"fields": ["Compare at least one field."]})
    if len(clean) > MOST_FIELDS:
        raise InvalidInput({"fields": [f"Compare at most {MOST_FIELDS} fields."]})
    if len(set(names)) != len(names):
        raise InvalidInput({"fields": ["A field is named twice."]})
    if not LEAST_THRESHOLD <= threshold <= MOST_THRESHOLD:
        raise InvalidInput({"threshold": [f"Must be from {LEAST_THRESHOLD} to {MOST_THRESHOLD}."]})
    if auto_merge_from is not None and not LEAST_SURE <= auto_merge_from <= 1:
        raise InvalidInput({"auto_merge_from": [f"Must be from {LEAST_SURE} to 1."]})
    with transaction.atomic():
        settings = DuplicateSettings.objects.select_for_update().first() or settings_of_tenant()
        changed = settings.fields != clean
        settings.fields, settings.threshold, settings.nightly = clean, threshold, nightly
        settings.auto_merge = settings.auto_merge if auto_merge is None else auto_merge
        settings.auto_merge_from = settings.auto_merge_from if auto_merge_from is None else auto_merge_from
        settings.save()
        forget_configuration()
        if changed:
            ask_for_scan(by=by)
    return settings


def _clean(row: Mapping[str, str]) -> dict[str, str]:
    name, comparator = row.get("name", "").strip(), row.get("comparator", "")
    custom = name.startswith(CUSTOM)
    if not (name in COMPARABLE or (custom and 0 < len(name.removeprefix(CUSTOM)) <= 60 and "," not in name and "=" not in name)):
        raise InvalidInput({"fields": [f"There is no field {name[:60]}."]})
    allowed = _OWN.get(comparator, name) == name and (name != "name" or comparator == "person")
    if comparator not in COMPARATORS or not allowed:
        raise InvalidInput({"fields": [f"{name[:60]} cannot be compared in this way."]})
    return {"name": name, "comparator": comparator}
