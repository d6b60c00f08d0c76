"""Stages with their past, and service levels, for the demo."""

from datetime import datetime, timedelta

from django.db import connection

from crm.actors import Actor
from leads.models import Lead
from pipeline.enums import SlaHours, SlaKind, SlaState, StepAction
from pipeline.models import LeadStage, SlaClock, SlaPolicy
from pipeline.services.clocks import Times, refresh_clocks, set_times
from pipeline.services.policies import PolicySettings, save_policy

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
        target_minutes=5 * 8 * 60,
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


def make_service_levels(*, now: datetime, by: Actor) -> None:
    """Three policies, the clocks that run, and those that ran before."""
    policies = [save_policy(policy=None, wanted=wanted, recompute=False, by=by) for wanted in _POLICIES]
    _past(policies, now)
    refresh_clocks(lead_ids=list(Lead.objects.values_list("pk", flat=True)), now=now)


def _past(policies: list[SlaPolicy], now: datetime) -> None:
    """The first responses that were given, by the policy that would have counted."""
    urgent, usual = policies[0], policies[1]
    stays = LeadStage.objects.select_related("lead").filter(came_from=None, exited_at__isnull=False, is_counted=True)
    answered = list(stays.exclude(left_to=None))
    times = Times.of(stay.lead.owner_id for stay in answered)
    clocks = []
    for stay in answered:
        policy = urgent if stay.lead.priority >= 3 else usual
        clock = SlaClock(
            lead=stay.lead, policy=policy, kind=policy.kind, started_at=stay.entered_at, running_since=stay.entered_at,
            spent_before=timedelta(),
        )  # fmt: skip
        set_times(clock, policy, times.for_lead(policy, owner_id=stay.lead.owner_id, phone=stay.lead.phone), now)
        late = clock.due_at is not None and stay.exited_at > clock.due_at
        clock.state, clock.ended_at, clock.next_at = SlaState.BREACHED if late else SlaState.MET, stay.exited_at, None
        clocks.append(clock)
    SlaClock.objects.bulk_create(clocks)
