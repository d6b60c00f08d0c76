"""A tenant's statuses and transitions."""

from crm.tenancy.models import Tenant
from leads.enums import DEFAULT_STATUSES, DEFAULT_TRANSITIONS
from leads.models import LeadStatus, LeadTransition


def set_up_statuses(tenant: Tenant) -> None:
    """Give a new tenant document 1's statuses and the default transitions. A tenant that has statuses is left alone."""
    if LeadStatus.objects.exists():
        return
    statuses = {
        code: LeadStatus(
            number=number, code=code, label=str(label), description=str(description), category=category, position=number, is_builtin=True
        )
        for number, code, label, description, category in DEFAULT_STATUSES
    }
    LeadStatus.objects.bulk_create(statuses.values())
    LeadTransition.objects.bulk_create(
        LeadTransition(source=statuses[source], target=statuses[target])
        for source, targets in DEFAULT_TRANSITIONS.items()
        for target in targets
    )
