"""What duplicates do when leads come, change and go: one refresh for all leads of an event."""

from crm.events.bus import subscribe
from crm.tenancy.scope import current_tenant_id
from duplicates.selectors import configuration
from duplicates.services.checking import refresh_leads
from duplicates.services.grouping import mend_groups
from duplicates.services.scanning import scanned_by
from leads.events import LeadsCaptured, LeadsChanged, LeadsDeleted, LeadsPurged, LeadsRestored

# What besides the compared fields themselves is read.
_ALSO_READ = {"name", "website", "email"}


def refresh_captured(event: LeadsCaptured) -> None:
    refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def refresh_changed(event: LeadsChanged) -> None:
    compared = {item.name.partition(":")[0].replace("custom", "custom_fields") for item in configuration().fields}
    if not event.fields or {field.partition(":")[0].partition(".")[0] for field in event.fields} & (compared | _ALSO_READ):
        refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def refresh_deleted(event: LeadsDeleted) -> None:
    refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def refresh_restored(event: LeadsRestored) -> None:
    refresh_leads(lead_ids=event.lead_ids, by=scanned_by(current_tenant_id()))


def forget_purged(event: LeadsPurged) -> None:
    """Keys and pairs went with the leads; the groups did not."""
    mend_groups(by=scanned_by(current_tenant_id()))


subscribe(LeadsCaptured, refresh_captured)
subscribe(LeadsChanged, refresh_changed)
subscribe(LeadsDeleted, refresh_deleted)
subscribe(LeadsRestored, refresh_restored)
subscribe(LeadsPurged, forget_purged)
