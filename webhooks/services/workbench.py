"""What managers do with arrivals and mappings: see what one would become, try other rules, keep them and read the failed anew."""

from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import transaction

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.tenancy.models import current_tenant
from leads.enums import Priority
from leads.models import Arrival, Lead
from leads.selectors import exact_duplicates
from leads.services.drafts import LeadDraft, normalise
from webhooks.models import FieldMapping, Source
from webhooks.permissions import SOURCES
from webhooks.services.arrivals import draft_by, replay_failed, source_of
from webhooks.services.sources import save_mapping

log = structlog.get_logger(__name__)
# In the order in which a person reads a lead.
SHOWN = (
    "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country",
    "lead_source", "notes",
)  # fmt: skip


@dataclass(kw_only=True)
class Trial:
    """What an arrival would become: a lead's values, or why it would not. Nothing was made."""

    values: dict[str, str] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    owner_id: int | None = None
    warnings: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    # The lead it would join.
    joins: Lead | None = None

    @property
    def ok(self) -> bool:
        return not self.problems


def trial_of(arrival: Arrival) -> Trial:
    """What an arrival as it is stored would become with the present mapping."""
    return _tried(arrival, source_of(arrival))


def try_rules(
    *, source: Source, rules: Any = None, form_id: str = "", arrival: Arrival | None = None, payload: Any = None, by: Actor
) -> Trial:
    """What an arrival of a source, or a payload as it might send one, would become under other rules; None: under the present ones.

    The door's own reader does it, with the rules saved and taken back. Raises InvalidInput by rule.
    """
    by.require(SOURCES)
    if arrival is None:
        if not isinstance(payload, dict) or not payload:
            raise InvalidInput({"payload": ["Give the payload as an object, or the id of an arrival."]})
        arrival = Arrival(
            tenant_id=source.tenant_id, door=source.kind, door_id=source.pk, platform_key=_CHANNELS[source.kind], form_id=form_id[:64]
        )
        arrival.payload = payload
    with transaction.atomic():
        if rules is not None:
            # Alone for a moment, whatever form the reader finds the payload to be of.
            FieldMapping.objects.filter(source=source).delete()
            save_mapping(source=source, rules=rules, by=by)
        trial = _tried(arrival, source)
        transaction.set_rollback(True)
    return trial


def save_and_replay(*, source: Source, form_id: str, form_name: str, rules: Any, by: Actor) -> int:
    """Set how a form's fields are read and read the source's failed arrivals anew; answers how many. Raises InvalidInput by rule."""
    with transaction.atomic():
        save_mapping(source=source, form_id=form_id, form_name=form_name, rules=rules, by=by)
        return replay_failed(door=source.kind, door_id=source.pk, by=by)


_CHANNELS = {"facebook": "facebook", "webhook": "api", "email": "email"}


def _tried(arrival: Arrival, source: Source | None) -> Trial:
    trial = Trial()
    try:
        with transaction.atomic():
            draft = draft_by(arrival, source)
    except InvalidInput as refusal:
        trial.problems = refusal.problems
        return trial
    except DomainError as refusal:
        trial.problems = {refusal.field or "": [refusal.message]}
        return trial
    except Exception as error:
        # What outsiders send may break a reader in any way; whoever looks at it must still see it.
        log.exception("trial_failed", arrival=arrival.pk)
        trial.problems = {"": [f"It cannot be read: {type(error).__name__}: {error}"[:500]]}
        return trial
    try:
        trial.warnings = normalise(draft, region=current_tenant().region, strict=False)
    except InvalidInput as refusal:
        trial.problems = refusal.problems
    _fill(trial, draft)
    return trial


def _fill(trial: Trial, draft: LeadDraft) -> None:
    trial.values = {name: text for name in SHOWN if (text := getattr(draft, name))}
    if draft.priority != Priority.MEDIUM:
        trial.values["priority"] = str(draft.priority.label)
    trial.custom = {name: str(value) for name, value in draft.custom_fields.items()}
    trial.tags = list(draft.tags)
    known = exact_duplicates(email=draft.email, phone=draft.phone) if trial.ok else []
    trial.joins = known[0].lead if known else None
