"""Stages with their past, and service levels, for the demo."""

import random
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import connection

from crm.actors import Actor
from leads.models import Lead
from pipeline.enums import SlaHours, SlaKind, SlaState, StepAction
from pipeline.models import LeadStage, SlaClock, SlaPolicy
from pipeline.services.clocks import Times, refresh_clocks, set_times
from pipeline.services.policies import PolicySettings, save_policy

# Such shares of promises are broken and of leads forgotten, and leads so new are still waiting for their answer.
LATE, FORGOTTEN, NEWEST = 0.06, 0.1, timedelta(hours=20)
# Of these every other waits, for the view of hot leads that nobody has touched.
HOT = 55

_POLICIES = (
    PolicySettings(
        name="Answer urgent leads",
        kind=SlaKind.FIRST_RESPONSE,
        target_minutes=30,
        hours=SlaHours.TENANT,
        conditions={"all": [{"field": "priority", "op": "is", "value": ["high", "critical"]}]},
        steps=({"minutes": 0, "action": StepAction.NOTIFY_MANAGER}, {"minutes": 60, "action": StepAction.RAISE_PRIORITY}),
    ),
    PolicySettings(name="Answer every lead", kind=SlaKind.FIRST_RESPONSE, target_minutes=4 * 60, hours=SlaHours.TENANT),
    PolicySettings(
        name="Proposals move on",
        kind=SlaKind.TIME_IN_STAGE,
        status=5,
        target_minutes=30 * 8 * 60,
        hours=SlaHours.TENANT,
        due_soon_share=80,
        steps=({"minutes": -60, "action": StepAction.NOTIFY_OWNER}, {"minutes": 0, "action": StepAction.NOTIFY_MANAGER}),
    ),
)


def make_stages(*, tenant_id: int) -> None:
    """Let the stays be those that the history tells: the demo's leads were written in the status they have now."""
    LeadStage.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pipeline_fill_stages(%s)", [tenant_id])


def make_service_levels(*, now: datetime, dice: random.Random, by: Actor) -> None:
    """Three policies, the clocks that run, and those that ran before."""
    policies = [save_policy(policy=None, wanted=wanted, recompute=False, by=by) for wanted in _POLICIES]
    _answer(policies, now, dice)
    refresh_clocks(lead_ids=list(Lead.objects.values_list("pk", flat=True)), now=now)


def _answer(policies: list[SlaPolicy], now: datetime, dice: random.Random) -> None:
    """The first responses that were given, by the policy that would have counted: a team that keeps most of its promises.

    Most leads that came before today were spoken with, whether or not they have moved since.
    """
    urgent, usual = policies[0], policies[1]
    stays = LeadStage.objects.select_related("lead").filter(came_from=None, is_counted=True).order_by("pk")
    times = Times.of(stay.lead.owner_id for stay in stays)
    clocks, spoken_with = [], []
    for stay in stays:
        lead = stay.lead
        policy = urgent if lead.priority >= 3 else usual
        hours = times.for_lead(policy, owner_id=lead.owner_id, phone=lead.phone)
        share = dice.uniform(1.1, 3) if dice.random() < LATE else dice.uniform(0.05, 0.95)
        at = hours.later(stay.entered_at, timedelta(minutes=policy.target_minutes * share))
        at = min(filter(None, (at, stay.exited_at)), default=None)
        waits = stay.exited_at is None and (stay.entered_at > now - NEWEST or dice.random() < (FORGOTTEN if lead.score < HOT else 0.5))
        if at is None or at > now or (waits and lead.last_contact_at is None):
            continue
        if lead.last_contact_at is None:
            lead.last_contact_at = at
            spoken_with.append(lead)
        clock = SlaClock(
            lead=lead, policy=policy, owner_id=lead.owner_id, kind=policy.kind, started_at=stay.entered_at,
            running_since=stay.entered_at, spent_before=timedelta(),
        )  # fmt: skip
        set_times(clock, policy, hours, now)
        late = clock.due_at is not None and at > clock.due_at
        clock.state, clock.ended_at, clock.next_at = SlaState.BREACHED if late else SlaState.MET, at, None
        clocks.append(clock)
    Lead.objects.bulk_update(spoken_with, ["last_contact_at"])
    # They were spoken with then, not today.
    history: Any = apps.get_model("leads", "LeadHistory")
    history.objects.filter(pgh_obj_id__in=[lead.pk for lead in spoken_with], pgh_created_at__gte=now).delete()
    SlaClock.objects.bulk_create(clocks)
