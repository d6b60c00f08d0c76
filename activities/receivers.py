"""What activities hear of themselves and of leads."""

from activities.events import ActivitiesChanged
from activities.services.invitations import look_again
from activities.services.repeating import repeat_closed
from crm.actors import Actor
from crm.tenancy.scope import current_scope
from leads.events import LeadsChanged

# A lead's date that is taken away closes its steps, recurring ones too.
_CLOSING = frozenset({"next_follow_up", "next_follow_up_at"})


def tell_attendees(event: ActivitiesChanged) -> None:
    look_again(activity_ids=event.activity_ids, fields=event.fields)


def repeat_steps(event: LeadsChanged) -> None:
    if _CLOSING.intersection(event.fields):
        scope = current_scope()
        repeat_closed(lead_ids=event.lead_ids, by=scope.actor or Actor.system(tenant_id=scope.tenant_id))
