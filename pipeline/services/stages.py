"""Move a lead on, and write down what there is to say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.operations.models import Operation
from leads.errors import InvalidTransition
from leads.events import LeadsMoved
from leads.models import Lead, LeadStatus
from leads.permissions import CHANGE
from leads.selectors import next_statuses, vocabulary
from leads.services.bulk import Selection, bulk_edit
from leads.services.editing import edit_lead, find_lead, status_out
from pipeline.models import LeadStage
from pipeline.selectors.stages import find_stage, stages_of

MOST_NOTES, MOST_ACTION = 50_000, 255
QUALIFIED = "qualified"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A lead in its new stage, and the status it came from."""

    lead: Lead
    stage: LeadStage
    previous: LeadStatus


def status_of(number: int) -> LeadStatus:
    """The active status of a public id, or InvalidInput."""
    found = next((status for status in vocabulary().statuses if status.number == number), None)
    if found is None:
        raise InvalidInput({"status_id": ["There is no such status."]})
    return found


def change_status(
    *,
    lead_id: int,
    status: LeadStatus,
    notes: str = "",
    next_action: str = "",
    fields: Mapping[str, Any] | None = None,
    skip_rules: bool = False,
    by: Actor,
) -> Moved:
    """Move a lead to another status by the rules, with what there is to say of it; `fields` are changed along with it.

    Raises InvalidTransition where the rules do not allow the move, or the lead is there already; RequiredForMove where
    something is missing that the move asks for. Notes count as the reason.
    """
    by.require(CHANGE)
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, by=by, lock=True)
        previous = lead.status
        if previous.pk == status.pk:
            allowed = [status_out(item) for item in next_statuses(previous)]
            raise InvalidTransition(current=previous.code, wanted=status.code, allowed=allowed)
        said = _checked({"notes": notes, "next_action_required": next_action})
        data = {
            **(fields or {}),
            "status": status.code,
            "move_note": said["notes"],
            "next_action": said["next_action_required"],
            "skip_rules": skip_rules,
        }
        edited = edit_lead(lead_id=lead.pk, data=data, by=by)
        stage = stages_of(edited.lead).get(exited_at=None)
        if skip_rules:
            LeadStage.objects.filter(pk=stage.pk).update(rules_skipped=True)
            stage.rules_skipped = True
    return Moved(lead=edited.lead, stage=stage, previous=previous)


def update_notes(*, stage_id: int, changes: Mapping[str, str], by: Actor) -> LeadStage:
    """Change a stay's `notes` or `next_action_required`. Raises NotFound, InvalidInput."""
    by.require(CHANGE)
    with transaction.atomic():
        stage = find_stage(stage_id=stage_id, lock=True, by=by)
        texts = _checked(changes)
        for name, text in texts.items():
            setattr(stage, name, text)
        if texts:
            LeadStage.objects.filter(pk=stage.pk).update(**texts)
    return stage


def _checked(changes: Mapping[str, str]) -> dict[str, str]:
    texts = {name: text.strip() for name, text in changes.items()}
    limits = {"notes": MOST_NOTES, "next_action_required": MOST_ACTION}
    wrong = {name: [f"At most {limits[name]:,} characters."] for name, text in texts.items() if len(text) > limits[name]}
    if wrong:
        raise InvalidInput(wrong)
    return texts


def note_down(*, event: LeadsMoved) -> None:
    """Write what came with a move into the stays that it began, which the database has opened by now."""
    said: dict[str, Any] = {}
    if event.note or event.next_action:
        said = {"notes": event.note[:MOST_NOTES], "next_action_required": event.next_action[:MOST_ACTION]}
    if event.rules_skipped:
        said["rules_skipped"] = True
    if said:
        # By the time it is read, a lead may be on its way again.
        stays = LeadStage.objects.filter(lead_id__in=event.lead_ids, exited_at=None, status_id=event.to_status)
        stays.update(**said)


def qualify_lead(*, lead_id: int, notes: str = "", next_action: str = "", by: Actor) -> Moved:
    """Move a lead to `qualified`, by the rules."""
    return change_status(lead_id=lead_id, status=_qualified(), notes=notes, next_action=next_action, by=by)


def bulk_qualify(*, lead_ids: Sequence[int], skip_rules: bool = False, by: Actor) -> Operation:
    """Start moving many leads to `qualified`, each by the rules of a single move: an operation that can be taken back."""
    return bulk_edit(selection=Selection(ids=lead_ids), updates={"status": _qualified().code}, skip_rules=skip_rules, by=by)


def _qualified() -> LeadStatus:
    found = next((status for status in vocabulary().statuses if status.code == QUALIFIED), None)
    if found is None:
        raise InvalidInput({"status": ["The status `qualified` is switched off."]})
    return found
