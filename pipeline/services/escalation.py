"""Say that clocks are due soon or breached, and take the steps of their policies: each once, whoever dies in between."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.errors import DomainError
from crm.events.bus import publish
from crm.identity.enums import RoleCode
from crm.identity.models import Team, User
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from leads.enums import Priority
from leads.models import Lead
from leads.services.editing import edit_lead
from notifications.services import notify
from pipeline.enums import SlaState, StepAction
from pipeline.events import SlaBreached, SlaDueSoon
from pipeline.models import SlaClock, SlaPolicy
from pipeline.services.clocks import Times, moment_of_step, set_next

log = structlog.get_logger(__name__)
AT_ONCE = 200
SOON, BREACHED = "sla_due_soon", "sla_breached"


def escalate_due() -> int:
    """Work off what is due in every tenant. Safe in any number of workers at once."""
    done = 0
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        try:
            done += _escalate_tenant(tenant_id)
        except Exception:
            # One tenant's trouble is not the next one's.
            log.exception("sla_not_escalated", tenant=tenant_id)
    return done


def _escalate_tenant(tenant_id: int) -> int:
    done, by = 0, Actor.system(tenant_id=tenant_id, label="SLA")
    while True:
        with tenant_scope(tenant_id, by=by):
            number = escalate_some(now=timezone.now(), by=by)
        done += number
        if number < AT_ONCE:
            return done


def escalate_some(*, now: datetime, by: Actor) -> int:
    """Claim the open tenant's next clocks and do what is due, in one transaction: states, notifications and steps go together."""
    due = SlaClock.objects.filter(ended_at=None, paused_at=None, next_at__lte=now, lead__deleted_at=None)
    waiting = dict(due.order_by("next_at", "pk").values_list("pk", "lead_id")[:AT_ONCE])
    # Leads before clocks, as everybody locks them; those that somebody is changing come next time.
    free = Lead.objects.filter(pk__in=set(waiting.values())).order_by("pk").select_for_update(skip_locked=True, of=("self",))
    leads = {lead.pk: lead for lead in free.select_related("status").defer("search")}
    claimed = due.filter(pk__in=waiting, lead_id__in=leads).order_by("next_at", "pk")
    clocks = list(claimed.select_for_update(skip_locked=True, of=("self",)))
    if not clocks:
        return 0
    policies = SlaPolicy.objects.in_bulk({clock.policy_id for clock in clocks})
    times = Times.of(lead.owner_id for lead in leads.values())
    soon, breached = [], []
    for clock in clocks:
        policy, lead = policies[clock.policy_id], leads[clock.lead_id]
        hours = times.for_lead(policy, owner_id=lead.owner_id, phone=lead.phone)
        if clock.due_at is not None and clock.due_at <= now:
            if clock.state != SlaState.BREACHED:
                clock.state = SlaState.BREACHED
                breached.append(clock)
        elif clock.state == SlaState.ON_TRACK and clock.soon_at is not None and clock.soon_at <= now:
            clock.state = SlaState.DUE_SOON
            soon.append(clock)
        steps = []
        while clock.steps_done < len(policy.steps):
            moment = moment_of_step(clock, policy, hours, clock.steps_done)
            if moment is None or moment > now:
                break
            steps.append(clock.steps_done)
            clock.steps_done += 1
        set_next(clock, policy, hours)
        # Written first: a step may change the lead's owner, and the clock is refreshed for that afterwards.
        SlaClock.objects.filter(pk=clock.pk).update(state=clock.state, steps_done=clock.steps_done, next_at=clock.next_at)
        if clock in soon or clock in breached:
            _tell(clock, policy, lead, by=by)
        for number in steps:
            lead = leads[lead.pk] = _take(clock, policy, lead, number, by=by)
    if soon:
        publish(SlaDueSoon(lead_ids=tuple(clock.lead_id for clock in soon)))
    if breached:
        publish(SlaBreached(lead_ids=tuple(clock.lead_id for clock in breached)))
    return len(clocks)


def _tell(clock: SlaClock, policy: SlaPolicy, lead: Lead, *, by: Actor) -> None:
    # Of a lead of nobody, or of somebody who is gone, the managers are told.
    there = lead.owner_id is not None and User.objects.filter(pk=lead.owner_id, is_active=True).exists()
    people = [lead.owner_id] if lead.owner_id is not None and there else managers_of(lead.owner_id)
    _notify(people, clock, policy, lead, once=f"sla:{clock.pk}:{clock.state}:{_stamp(clock)}", by=by)


def _say(clock: SlaClock, policy: SlaPolicy, lead: Lead, number: int, people: Sequence[int], *, by: Actor) -> None:
    _notify(people, clock, policy, lead, once=f"sla:{clock.pk}:step{number}:{_stamp(clock)}", by=by)


def _stamp(clock: SlaClock) -> str:
    """The due time it is about: one that was put off may come again."""
    return f"{clock.due_at:%Y%m%d%H%M}" if clock.due_at else "-"


def _notify(people: Sequence[int], clock: SlaClock, policy: SlaPolicy, lead: Lead, *, once: str, by: Actor) -> None:
    late = clock.state == SlaState.BREACHED
    text = _("%(policy)s breached: %(lead)s") if late else _("%(policy)s is due soon: %(lead)s")
    title = text % {"policy": policy.name, "lead": lead.display_name}
    notify(kind=BREACHED if late else SOON, user_ids=people, title=title[:200], url=f"/leads/{lead.pk}", once=once, by=by)


def managers_of(owner_id: int | None) -> list[int]:
    """The managers of a person's teams; where there are none, everybody whose role is manager."""
    found = list(Team.objects.filter(memberships__user_id=owner_id, manager__is_active=True).values_list("manager_id", flat=True))
    found = [pk for pk in dict.fromkeys(found) if pk is not None and pk != owner_id]
    return found or list(User.objects.filter(role__code=RoleCode.MANAGER, is_active=True).order_by("pk").values_list("pk", flat=True))


def _take(clock: SlaClock, policy: SlaPolicy, lead: Lead, number: int, *, by: Actor) -> Lead:
    """Take a step, and answer the lead as it is then. What may not be done, such as giving it to somebody who left, is logged."""
    step = policy.steps[number]
    try:
        with transaction.atomic():
            match step["action"]:
                case StepAction.RAISE_PRIORITY:
                    return edit_lead(lead_id=lead.pk, data={"priority": min(lead.priority + 1, Priority.CRITICAL)}, by=by).lead
                case StepAction.REASSIGN:
                    return edit_lead(lead_id=lead.pk, data={"owner_id": step["user"]}, by=by).lead
                case StepAction.NOTIFY_MANAGER:
                    _say(clock, policy, lead, number, managers_of(lead.owner_id), by=by)
                case StepAction.NOTIFY_USER:
                    _say(clock, policy, lead, number, [step["user"]], by=by)
                case _:
                    _say(clock, policy, lead, number, [lead.owner_id] if lead.owner_id is not None else [], by=by)
    except DomainError as refusal:
        log.warning("sla_step_refused", clock=clock.pk, step=number, error=refusal.message)
    return lead
