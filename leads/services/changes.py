"""Changes to many loaded leads: tried on each by itself, then written, counted and told together."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone

from crm.actors import Actor
from crm.bulk import update_records
from crm.errors import DomainError
from crm.events.bus import publish
from crm.registry import compute_values, guards
from leads.events import LeadsAssigned, LeadsChanged, LeadsMoved
from leads.models import Lead
from leads.services.editing import COMPUTED, public_name
from leads.services.intake import remember_tags


class LeadChanges:
    """What is to be changed in leads that the caller has loaded, locked and may change."""

    def __init__(self, *, by: Actor) -> None:
        self.by = by
        self.changed: dict[int, Lead] = {}
        self._before: dict[int, dict[str, Any]] = {}

    def attempt(self, lead: Lead, apply: Callable[[Lead], None]) -> bool:
        """Try a change on one lead, unsaved ones included. Answers whether anything is different now.

        A refusal leaves the lead as it was before this attempt, and is raised.
        """
        columns = {column.attname: getattr(lead, column.attname) for column in lead._meta.concrete_fields if not column.generated}
        try:
            apply(lead)
            for guard in guards.of("leads.Lead"):
                guard(lead, columns, self.by)
        except DomainError:
            for name, value in columns.items():
                setattr(lead, name, value)
            raise
        if all(getattr(lead, name) == value for name, value in columns.items()):
            return False
        if lead.pk is not None:
            self.changed[lead.pk] = lead
            self._before.setdefault(lead.pk, columns)
        return True

    def write(self, *, rescore: bool = True, note: str = "", next_action: str = "", rules_skipped: bool = False) -> None:
        """One update for all, and one event for each kind of change. `note` and `next_action` are kept with moves to another status."""
        leads = list(self.changed.values())
        if not leads:
            return
        if rescore:
            compute_values("leads.Lead", leads)
        names = [
            name
            for name in self._before[leads[0].pk]
            if name not in COMPUTED and any(getattr(lead, name) != self._before[lead.pk][name] for lead in leads)
        ]
        now = timezone.now()
        for lead in leads:
            lead.updated_at = now
        update_records(leads, [*names, *(COMPUTED if rescore else ()), "updated_at"])
        if "tags" in names:
            remember_tags({tag for lead in leads for tag in lead.tags})
        self._tell(leads, names, {"note": note, "next_action": next_action, "rules_skipped": rules_skipped})

    def _tell(self, leads: list[Lead], names: list[str], said: Mapping[str, Any]) -> None:
        given: dict[int | None, list[int]] = {}
        moved: dict[tuple[int, int], list[int]] = {}
        for lead in leads:
            before = self._before[lead.pk]
            if lead.status_id != before["status_id"]:
                moved.setdefault((before["status_id"], lead.status_id), []).append(lead.pk)
            if lead.owner_id != before["owner_id"]:
                given.setdefault(lead.owner_id, []).append(lead.pk)
        for (source, target), ids in moved.items():
            publish(LeadsMoved(lead_ids=tuple(ids), from_status=source, to_status=target, **said))
        for owner_id, ids in given.items():
            publish(LeadsAssigned(lead_ids=tuple(ids), owner_id=owner_id))
        publish(LeadsChanged(lead_ids=tuple(lead.pk for lead in leads), fields=tuple(public_name(name) for name in names)))
