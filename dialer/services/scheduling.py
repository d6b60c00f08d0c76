"""Run the queues of automated agents: each minute by beat, and at once when something changed.

An agent's job is held by moving `due_at` ahead; a worker that dies leaves it to come due again. Everything a run does is claimed
for itself, so two workers at one queue are no harm.
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction

from crm.actors import Actor
from crm.events import nudge
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.enums import AgentKind, AnsweredBy, CallStatus, EntryStatus
from dialer.models import AgentJob, Call, CallingAgent, QueueEntry
from dialer.services.claiming import claim_due
from dialer.services.limits import hours_of
from dialer.services.placing import place_calls
from dialer.services.progress import note_progress
from dialer.services.settings import provider_of, settings_now
from dialer.services.telephony.base import Clock, Progress
from dialer.services.telephony.simulator import Simulator, fate_of, next_step
from dialer.services.waking import RUN_AGENTS

log = structlog.get_logger(__name__)
SIMULATE = "dialer.simulate"
# How long a worker has an agent's job, and how often a queue is looked at anyway.
JOB_LEASE, EVERY = timedelta(seconds=90), timedelta(seconds=60)
# A run ends after so many looks, and another goes on: no queue keeps a worker for long.
MOST_LOOKS = 20


def worker_name() -> str:
    return f"{socket.gethostname()[:30]}:{os.getpid()}"


def schedule(*, now: datetime) -> int:
    """See that every active automated agent has a job. Answers how many jobs are due. What a lost nudge left is found here too."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM dialer_agentjob AS job WHERE NOT EXISTS (SELECT FROM tenancy_tenant AS t WHERE t.id = job.tenant_id AND t.is_active)"
        )
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            agents = CallingAgent.objects.filter(kind=AgentKind.AUTOMATED, is_active=True, deleted_at=None)
            wanted = list(agents.order_by("pk").values_list("pk", flat=True))
            AgentJob.objects.bulk_create([AgentJob(tenant_id=tenant_id, agent_id=pk, due_at=now) for pk in wanted], ignore_conflicts=True)
            AgentJob.objects.filter(tenant_id=tenant_id).exclude(agent_id__in=wanted).delete()
    due = AgentJob.objects.filter(due_at__lte=now).count()
    if due:
        nudge.once(RUN_AGENTS)
    return due


def run_due(*, now: datetime, clock: Clock | None = None, most: int = 1000) -> int:
    """Work off the agents whose jobs are due. Safe in any number of workers at once. Answers how many calls were placed."""
    nudge.starting(RUN_AGENTS)
    placed, clock = 0, clock or (lambda: now)
    for _ in range(most):
        now = clock()
        job = _claim_job(now)
        if job is None:
            break
        try:
            run = run_agent(tenant_id=job.tenant_id, agent_id=job.agent_id, now=now, clock=clock)
        except Exception:
            # One agent's trouble is not the next one's; its job comes due again.
            log.exception("agent_not_run", tenant=job.tenant_id, agent=job.agent_id)
            continue
        placed += run.placed
        # Unless somebody has woken it meanwhile.
        AgentJob.objects.filter(pk=job.pk, due_at=now + JOB_LEASE).update(due_at=run.next_at)
        if run.next_at <= clock():
            nudge.once(RUN_AGENTS)
    return placed


def _claim_job(now: datetime) -> AgentJob | None:
    with transaction.atomic():
        job = (
            AgentJob.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(due_at__lte=now, tenant__is_active=True)
            .order_by("due_at", "id")
            .first()
        )
        if job is not None:
            AgentJob.objects.filter(pk=job.pk).update(due_at=now + JOB_LEASE)
    return job


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run did, and when the agent is to be looked at next."""

    placed: int
    next_at: datetime


def run_agent(*, tenant_id: int, agent_id: int, now: datetime, clock: Clock | None = None) -> Run:
    """Claim and place what is due of one automated agent, as many as it has lines for. The `clock` is read for each look: leases count from then."""
    clock = clock or (lambda: now)
    by = Actor.system(tenant_id=tenant_id, label="Dialer")
    placed = 0
    with tenant_scope(tenant_id, by=by):
        most = provider_of(settings_now()).at_once
    for _ in range(MOST_LOOKS):
        now = clock()
        with tenant_scope(tenant_id, by=by):
            closed_until = _closed_until(agent_id, now)
            if closed_until is not None:
                return Run(placed=placed, next_at=closed_until)
            claimed = claim_due(agent_id=agent_id, most=most, worker=worker_name(), now=now, by=by)
        done = place_calls(tenant_id=tenant_id, calls=claimed.calls, now=now, clock=clock, by=by)
        placed += done
        # What the company did not take is not pressed on it.
        if claimed.is_empty or claimed.is_full or done < len(claimed.calls):
            return Run(placed=placed, next_at=now + EVERY)
    return Run(placed=placed, next_at=now)


def _closed_until(agent_id: int, now: datetime) -> datetime | None:
    """When an agent's hours open, where it is closed and nothing was asked for at once. Its entries are left as they are."""
    agent = CallingAgent.objects.filter(pk=agent_id).first()
    if agent is None or hours_of(agent).is_open(now):
        return None
    at_once = QueueEntry.objects.filter(agent_id=agent_id, deleted_at=None, is_immediate=True, next_at__lte=now)
    if at_once.exclude(status=EntryStatus.DONE).exists():
        return None
    # Hours may be changed, by a door that wakes nobody too.
    return min(hours_of(agent).opens_at(now) or now + timedelta(hours=1), now + timedelta(hours=1))


# --- the simulator's company at work ---


def simulate(*, now: datetime, tenant_id: int | None = None, most: int = 5000) -> int:
    """Report what is due of simulated calls, of one tenant or of all active ones. Safe in any number of workers at once. Answers how many reports there were."""
    nudge.starting(SIMULATE)
    done = 0
    while done < most:
        with transaction.atomic():
            step = next_step(now=now, tenant_id=tenant_id)
            if step is None:
                break
            by = Actor.system(tenant_id=step.tenant_id, label="Dialer")
            with tenant_scope(step.tenant_id, by=by):
                step.delete()
                _report(step.call_id, step.number, CallStatus(step.status), step.answered_by, at=step.due_at, now=now, by=by)
        done += 1
    return done


def _report(call_id: int, number: int, status: CallStatus, answered_by: str, *, at: datetime, now: datetime, by: Actor) -> None:
    call = Call.objects.filter(pk=call_id).select_related("agent").first()
    if call is None:
        return
    payload = {}
    if status == CallStatus.COMPLETED and call.status == CallStatus.IN_PROGRESS:
        rings = call.agent.ring_seconds if call.agent else 25
        transcript = fate_of(phone=call.phone, attempt=call.attempt, ring_seconds=rings).transcript
        payload = {"transcript": transcript} if transcript else {}
    progress = Progress(
        status=status, answered_by=AnsweredBy(answered_by) if answered_by else None, provider_call_id=Simulator.id_of(str(call.public_id)), sequence=number,
        fingerprint=f"step-{number}", payload=payload, at=at,
    )  # fmt: skip
    note_progress(call_id=call_id, progress=progress, now=now, by=by)
