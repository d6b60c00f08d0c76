"""What duplicates do when leads come, change and go: one refresh for all leads of an event."""

from collections.abc import Iterable, Sequence

from crm.events.bus import subscribe, subscribe_to_many
from crm.tenancy.scope import current_tenant_id
from duplicates.selectors import configuration
from duplicates.services.checking import refresh_leads
from duplicates.services.grouping import mend_groups
from duplicates.services.scanning import scanned_by
from leads.events import LeadsCaptured, LeadsChanged, LeadsDeleted, LeadsPurged, LeadsRestored

# What besides the compared fields themselves is read.
_ALSO_READ = {"name", "website", "email"}


def refresh_captured(events: Sequence[LeadsCaptured]) -> None:
    _refresh(pk for event in events for pk in event.lead_ids)


def refresh_changed(events: Sequence[LeadsChanged]) -> None:
    compared = {item.name.partition(":")[0].replace("custom", "custom_fields") for item in configuration().fields} | _ALSO_READ
    touching = (event for event in events if not event.fields or {_bare(field) for field in event.fields} & compared)
    _refresh(pk for event in touching for pk in event.lead_ids)


def _bare(field: str) -> str:
    return field.partition(":")[0].partition(".")[0]


def _refresh(lead_ids: Iterable[int]) -> None:
    ids = tuple(dict.fromkeys(lead_ids))
    if ids:
        refresh_leads(lead_ids=ids, by=scanned_by(current_tenant_id()))


def refresh_deleted(event: LeadsDeleted) -> None:
    refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def refresh_restored(event: LeadsRestored) -> None:
    refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def forget_purged(event: LeadsPurged) -> None:
    """Keys and pairs went with the leads; the groups did not."""
    mend_groups(by=scanned_by(current_tenant_id()))


subscribe_to_many(LeadsCaptured, refresh_captured)
subscribe_to_many(LeadsChanged, refresh_changed)
subscribe(LeadsDeleted, refresh_deleted)
subscribe(LeadsRestored, refresh_restored)
subscribe(LeadsPurged, forget_purged)
