"""Set service levels, and pause their clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services.acts import record_act
from crm.actors import Actor
from crm.conditions import read_conditions
from crm.errors import DomainError, InvalidInput, NotFound
from crm.identity.models import User
from crm.operations.models import Operation
from crm.operations.runner import Chunk
from crm.operations.services import start_operation
from leads.filters import LeadFilters
from leads.models import Lead, LeadStatus
from leads.permissions import CHANGE
from leads.services.conditions import hides_fields, without_hidden
from leads.services.editing import find_lead
from pipeline.enums import SlaHours, SlaKind, StepAction
from pipeline.models import SlaClock, SlaPolicy
from pipeline.permissions import CONFIGURE_SLA
from pipeline.services.clocks import Times, refresh_clocks, set_times

RECOMPUTE = "pipeline.sla_recompute"
CHUNK_LEADS = 1000
MOST_STEPS, MOST_MINUTES, MOST_POLICIES = 10, 60 * 24 * 366, 50
_WITH_USER = (StepAction.NOTIFY_USER, StepAction.REASSIGN)


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """What a policy is to be. `status` is a public id; `position` None leaves it, or puts it last."""

    name: str
    kind: str = SlaKind.FIRST_RESPONSE
    target_minutes: int = 60
    status: int | None = None
    conditions: Mapping[str, Any] | None = None
    hours: str = SlaHours.TENANT
    due_soon_share: int = 75
    steps: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    position: int | None = None
    is_active: bool = True


class NotRunning(DomainError):
    """No clock of the lead runs, or none is paused."""

    code = "NO_CLOCK"


def find_policy(policy_id: int) -> SlaPolicy:
    policy = SlaPolicy.objects.select_related("status").filter(pk=policy_id).first()
    if policy is None:
        raise NotFound("No such policy.")
    return policy


def save_policy(*, policy: SlaPolicy | None, wanted: PolicySettings, recompute: bool = True, by: Actor) -> SlaPolicy:
    """Make a policy, or change one, and have the clocks worked out anew unless the caller does. Raises InvalidInput by field, DomainError for a name taken."""
    by.require(CONFIGURE_SLA)
    if policy is None and SlaPolicy.objects.count() >= MOST_POLICIES:
        raise InvalidInput({"name": [f"At most {MOST_POLICIES} policies."]})
    policy = policy or SlaPolicy()
    _set(policy, wanted, by=by)
    if wanted.position is not None:
        policy.position = wanted.position
    elif policy.pk is None:
        policy.position = (SlaPolicy.objects.aggregate(last=Max("position"))["last"] or 0) + 1
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError:
        raise DomainError("There is a policy of this name already.", field="name") from None
    if recompute:
        recompute_clocks(by=by)
    return policy


def set_conditions(*, policy: SlaPolicy, conditions: Mapping[str, Any] | None, by: Actor) -> SlaPolicy:
    """Say anew which leads a policy is for, None for all, and have the clocks worked out. Raises InvalidInput."""
    by.require(CONFIGURE_SLA)
    policy.conditions = _checked(conditions, stored=policy.conditions, by=by)
    policy.save(update_fields=["conditions"])
    recompute_clocks(by=by)
    return policy


def _checked(wanted: Mapping[str, Any] | None, *, stored: Any, by: Actor) -> dict[str, Any] | None:
    """The conditions that are wanted. The stored ones as the actor was shown them, hidden parts left out, stand for the stored ones."""
    if stored and wanted in (stored, without_hidden(tree=stored, by=by)):
        return dict(stored)
    if hides_fields(tree=stored, by=by):
        raise InvalidInput({"filter": [_("These conditions name a field you may not see. Ask somebody who may to change them.")]})
    if not wanted:
        return None
    read_conditions(wanted, LeadFilters.seen_by(by).condition_fields())
    return dict(wanted)


def delete_policy(*, policy: SlaPolicy, by: Actor) -> None:
    """Delete a policy with its clocks. Leads it was for may fall under another."""
    by.require(CONFIGURE_SLA)
    policy.delete()
    recompute_clocks(by=by)


def _set(policy: SlaPolicy, wanted: PolicySettings, *, by: Actor) -> None:
    problems: dict[str, list[str]] = {}
    policy.name = wanted.name.strip()
    if not policy.name or len(policy.name) > 80:
        problems["name"] = ["Give a name of at most 80 characters."]
    if not 1 <= wanted.target_minutes <= MOST_MINUTES:
        problems["target_minutes"] = [f"Must be from 1 to {MOST_MINUTES:,} minutes."]
    if not 1 <= wanted.due_soon_share <= 100:
        problems["due_soon_share"] = ["Must be from 1 to 100 percent."]
    if wanted.kind not in SlaKind.values:
        problems["kind"] = [f"Must be one of {', '.join(SlaKind.values)}."]
    if wanted.hours not in SlaHours.values:
        problems["hours"] = [f"Must be one of {', '.join(SlaHours.values)}."]
    policy.status = None
    if wanted.kind == SlaKind.TIME_IN_STAGE and wanted.status is not None:
        policy.status = LeadStatus.objects.filter(number=wanted.status).first()
        if policy.status is None:
            problems["status"] = ["There is no such status."]
    conditions = policy.conditions
    try:
        conditions = _checked(wanted.conditions, stored=conditions, by=by)
    except InvalidInput as refusal:
        problems["conditions"] = refusal.problems["filter"]
    steps, wrong = _read_steps(wanted.steps)
    if wrong:
        problems["steps"] = [wrong]
    if problems:
        raise InvalidInput(problems)
    policy.kind, policy.target_minutes, policy.hours = wanted.kind, wanted.target_minutes, wanted.hours
    policy.conditions, policy.due_soon_share = conditions, wanted.due_soon_share
    policy.steps, policy.is_active = steps, wanted.is_active


def _read_steps(given: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The steps in order of time, or what is wrong with them."""
    if len(given) > MOST_STEPS:
        return [], f"At most {MOST_STEPS} steps."
    steps = []
    for step in given:
        minutes, action, user = step.get("minutes"), step.get("action"), step.get("user")
        if not isinstance(minutes, int) or isinstance(minutes, bool) or abs(minutes) > MOST_MINUTES:
            return [], "Each step says in minutes when it is taken: negative before it is due, positive after."
        if action not in StepAction.values:
            return [], f"An action is one of {', '.join(StepAction.values)}."
        if action in _WITH_USER and (not isinstance(user, int) or not User.objects.filter(pk=user, is_active=True).exists()):
            return [], "Name an active user for a step that tells somebody or gives the lead to somebody."
        steps.append({"minutes": minutes, "action": action, "user": user if action in _WITH_USER else None})
    return sorted(steps, key=lambda step: step["minutes"]), ""


def recompute_clocks(*, by: Actor) -> Operation:
    """Start working out the clocks of all leads anew."""
    newest = Lead.objects.aggregate(newest=Max("pk"))["newest"] or 0
    return start_operation(kind=RECOMPUTE, title=_("Service levels worked out anew"), params={"newest": newest}, by=by)


def recompute_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Work out the clocks of the next leads."""
    after = operation.cursor.get("after", 0)
    leads = Lead.objects.live().filter(pk__gt=after, pk__lte=operation.params["newest"])
    ids = list(leads.order_by("pk").values_list("pk", flat=True)[:CHUNK_LEADS])
    changed = refresh_clocks(lead_ids=ids, now=timezone.now())
    changed = min(changed, len(ids))
    return Chunk(
        cursor={"after": ids[-1] if ids else after}, finished=len(ids) < CHUNK_LEADS, updated=changed, skipped=len(ids) - changed
    )  # fmt: skip


def pause_clocks(*, lead_id: int, now: datetime, by: Actor) -> int:
    """Stop the running clocks of a lead whose time is not over. Time that passes from now on is not counted; who stopped it is audited."""
    by.require(CHANGE)
    clocks = [(clock, hours) for clock, hours in _running(lead_id, paused=False, by=by) if clock.due_at is None or clock.due_at > now]
    if not clocks:
        raise NotRunning("The time of this lead has run out already. That stays as it is.")
    for clock, hours in clocks:
        clock.spent_before += hours.between(clock.running_since, now)
        clock.running_since = clock.paused_at = now
        set_times(clock, clock.policy, hours, now)
    _store(clocks)
    _audit("sla_paused", clocks, by=by)
    return len(clocks)


def resume_clocks(*, lead_id: int, now: datetime, by: Actor) -> int:
    """Let the paused clocks of a lead go on where they stood."""
    by.require(CHANGE)
    clocks = _running(lead_id, paused=True, by=by)
    for clock, hours in clocks:
        clock.running_since, clock.paused_at = now, None
        set_times(clock, clock.policy, hours, now)
    _store(clocks)
    _audit("sla_resumed", clocks, by=by)
    return len(clocks)


def _audit(action: str, clocks: Sequence[tuple[SlaClock, Any]], *, by: Actor) -> None:
    policies = [clock.policy.name for clock, _hours in clocks]
    record_act(action=action, subject=str(clocks[0][0].lead), details={"lead": clocks[0][0].lead_id, "policies": policies}, by=by)


def _running(lead_id: int, *, paused: bool, by: Actor) -> list[tuple[SlaClock, Any]]:
    lead = find_lead(lead_id=lead_id, by=by, lock=True)
    found = SlaClock.objects.select_related("policy").filter(lead=lead, ended_at=None, paused_at__isnull=not paused)
    clocks = list(found.select_for_update(of=("self",)).order_by("pk"))
    if not clocks:
        raise NotRunning("No clock of this lead is paused." if paused else "No clock of this lead is running.")
    times = Times.of([lead.owner_id])
    for clock in clocks:
        clock.lead = lead
    return [(clock, times.for_lead(clock.policy, owner_id=lead.owner_id, phone=lead.phone)) for clock in clocks]


def _store(clocks: Sequence[tuple[SlaClock, Any]]) -> None:
    fields = ["spent_before", "running_since", "paused_at", "due_at", "soon_at", "next_at", "state"]
    SlaClock.objects.bulk_update([clock for clock, _hours in clocks], fields)
