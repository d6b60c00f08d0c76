"""What leads do when an operation is taken back."""

from collections.abc import Sequence

from crm.actors import Actor
from crm.events.bus import publish
from leads.events import LeadsChanged, LeadsRestored
from leads.models import Lead
from leads.permissions import CHANGE
from leads.selectors import leads_visible_to
from leads.services.bin import delete_leads
from leads.services.editing import public_name


def visible_ids(*, ids: Sequence[int], by: Actor) -> set[int]:
    """Those that the actor could change singly, in the bin or not."""
    by.require(CHANGE)
    return set(leads_visible_to(by, with_deleted=True).filter(pk__in=ids).values_list("pk", flat=True))


def discard_leads(*, ids: Sequence[int], by: Actor) -> None:
    """Into the bin, from where they can be had back."""
    delete_leads(lead_ids=ids, by=by)


def tell_restored(*, records: Sequence[Lead], names: Sequence[str], by: Actor) -> None:
    """Publish that these leads have earlier values again."""
    ids = tuple(lead.pk for lead in records)
    if "deleted_at" in names:
        publish(LeadsRestored(lead_ids=tuple(lead.pk for lead in records if lead.deleted_at is None)))
    publish(LeadsChanged(lead_ids=ids, fields=tuple(public_name(name) for name in names)))
