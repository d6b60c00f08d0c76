"""A day of calling in minutes: a tenant of its own, several queues, people and machines, five zones, and workers that die.

Everything goes through the services that a real day goes through; only the clock is ours. The tenant is not active while it runs, so
that no worker of the product takes part.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ObjectDoesNotExist

from crm.actors import Actor, Door
from crm.bulk import insert_records
from crm.errors import DomainError
from crm.identity.models import Holiday, Role, User
from crm.identity.selectors import actor_for
from crm.identity.services.tenants import set_up_tenant
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.enums import BY_PERSON, AgentKind, CallResult, DialMode, PauseReason, SessionState
from dialer.errors import MayNotCall
from dialer.models import Call, CallingAgent, DialSession, DoNotCall, QueueEntry, RetryRule
from dialer.services import calls, placing, scheduling, sessions
from dialer.services.claiming import claim_due
from dialer.services.proof import Proof, prove
from dialer.services.settings import provider_of, settings_now
from dialer.services.summaries import result_of, transcript_of
from leads.models import Lead, LeadStatus

# By the first digits: New York, Los Angeles, London, Delhi, Sydney, São Paulo.
_AREAS = (("+1212", 7), ("+1213", 7), ("+4420", 8), ("+9111", 8), ("+612", 8), ("+55112", 7))
_OFFICE = {str(day): ["09:00", "17:30"] for day in range(7)}
_LONG = {str(day): [["08:00", "12:00"], ["12:30", "24:00"]] for day in range(7)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A day to be rehearsed. `step` is how often people and the simulator act; queues are run each minute."""

    begins: datetime
    hours: float
    entries: int
    seed: int
    step: int = 20
    reps: int = 3
    # The share of runs in which a worker dies in the middle.
    deaths: float = 0.02


@dataclass(kw_only=True)
class Rep:
    """A person who works by a few habits."""

    user: User
    agent_id: int
    mode: str
    dice: random.Random
    session: DialSession | None = None
    silent_until: datetime | None = None


@dataclass(kw_only=True)
class Rehearsal:
    """What is under way."""

    tenant: Tenant
    plan: Plan
    agents: list[int] = field(default_factory=list)
    reps: list[Rep] = field(default_factory=list)
    deaths: int = 0
    refusals: int = 0


def rehearse(plan: Plan, *, tenant_name: str) -> tuple[Rehearsal, Proof]:
    """Live through a day and look at what it left. The tenant stays, inactive, for who wants to see it."""
    tenant = Tenant.objects.create(name=tenant_name, display_name="Rehearsal", time_zone="Europe/London", is_active=False)
    set_up_tenant(tenant)
    run = Rehearsal(tenant=tenant, plan=plan)
    dice = random.Random(plan.seed)  # noqa: S311 -- the same day every time
    by = _machine(tenant)
    with tenant_scope(tenant.pk, by=by):
        _make_agents(run, dice)
        _make_entries(run, dice)
    now, ends = plan.begins, plan.begins + timedelta(hours=plan.hours)
    minute = timedelta()
    while now < ends:
        if minute <= timedelta():
            _run_queues(run, dice, now)
            minute = timedelta(minutes=1)
        for rep in run.reps:
            _act(run, rep, now)
        scheduling.simulate(now=now, tenant_id=tenant.pk)
        now += timedelta(seconds=plan.step)
        minute -= timedelta(seconds=plan.step)
    for _ in range(3):
        now += timedelta(minutes=10)
        scheduling.simulate(now=now, tenant_id=tenant.pk)
        placing.return_leases_of(tenant_id=tenant.pk, now=now)
        sessions.pause_silent_of(tenant_id=tenant.pk, now=now)
    _run_queues(run, random.Random(0), now, deaths=False)  # noqa: S311
    with tenant_scope(tenant.pk, by=by):
        return run, prove(now=now, began=plan.begins - timedelta(days=1))


def _machine(tenant: Tenant) -> Actor:
    return Actor.system(tenant_id=tenant.pk, door=Door.COMMAND, label="rehearsal")


def _make_agents(run: Rehearsal, dice: random.Random) -> None:
    day = run.plan.begins.date()
    Holiday.objects.create(tenant=run.tenant, name="A holiday", date=day + timedelta(days=1), team=None)
    agents = [
        CallingAgent(name="Office hours", kind=AgentKind.AUTOMATED, time_zone="America/New_York", business_hours=_OFFICE, max_attempts=4, retry_delay_minutes=45, most_calls=20),
        CallingAgent(name="Round the clock", kind=AgentKind.AUTOMATED, max_attempts=3, retry_delay_minutes=90, most_calls=40, keeps_tenant_holidays=False),
        CallingAgent(name="By rules", kind=AgentKind.AUTOMATED, time_zone="Asia/Kolkata", business_hours=_LONG, max_attempts=6, most_calls=15, keeps_tenant_holidays=False),
        CallingAgent(name="Power", kind=AgentKind.HUMAN, mode=DialMode.POWER, lines=3, business_hours=_OFFICE, max_attempts=3, retry_delay_minutes=20, keeps_tenant_holidays=False),
        CallingAgent(name="Preview", kind=AgentKind.HUMAN, mode=DialMode.PREVIEW, max_attempts=2, retry_delay_minutes=30, keeps_tenant_holidays=False),
    ]  # fmt: skip
    for agent in agents:
        agent.tenant = run.tenant
        agent.save()
    run.agents = [agent.pk for agent in agents]
    by_rules = agents[2]
    for result, delay, most, another in (
        ("no_answer", 30, 3, True),
        ("busy", 5, 5, False),
        ("voicemail", 120, 1, True),
        ("wrong_number", 15, 1, False),
    ):
        RetryRule.objects.create(
            tenant=run.tenant, agent=by_rules, result=result, delay_minutes=delay, most_tries=most, another_hour=another,
            disposition="wrong_number" if result == "wrong_number" else "no_answer",
        )  # fmt: skip
    role = Role.objects.get(code="sales_rep")
    for number in range(run.plan.reps):
        user = User.objects.create(
            tenant=run.tenant, username=f"rep{number}.{run.tenant.name}", email=f"rep{number}@{run.tenant.name}.example", first_name=f"Rep{number}",
            role=role,
        )  # fmt: skip
        agent = agents[3 + number % 2]
        run.reps.append(Rep(user=user, agent_id=agent.pk, mode=agent.mode, dice=random.Random(dice.random())))  # noqa: S311


def _make_entries(run: Rehearsal, dice: random.Random) -> None:
    status, began = LeadStatus.objects.get(code="new"), run.plan.begins - timedelta(hours=1)
    numbers: set[str] = set()
    while len(numbers) < run.plan.entries:
        area, digits = dice.choice(_AREAS)
        numbers.add(area + str(dice.randint(2 * 10 ** (digits - 1), 10**digits - 1)))
    leads = [
        Lead(tenant=run.tenant, first_name=f"Person {n}", phone=phone, status=status, status_changed_at=began, created_at=began)
        for n, phone in enumerate(sorted(numbers))
    ]
    insert_records(leads)
    entries = []
    for lead in leads:
        # Some are in two queues.
        for agent_id in dice.sample(run.agents, 2 if dice.random() < 0.1 else 1):
            at = run.plan.begins + timedelta(minutes=dice.randint(-60, int(run.plan.hours * 25)))
            urgent = dice.random() < 0.02
            entries.append(
                QueueEntry(
                    tenant=run.tenant, agent_id=agent_id, lead=lead, first_name=lead.first_name, phone=lead.phone, next_at=at, schedule_at=at,
                    is_immediate=urgent, custom_fields={"at_once": True} if urgent else {}, created_at=began,
                )
            )  # fmt: skip
    insert_records(entries)
    for lead in dice.sample(leads, len(leads) // 30):
        only_for = dice.choice(run.agents) if dice.random() < 0.3 else None
        until = run.plan.begins.date() + timedelta(days=5) if dice.random() < 0.3 else None
        DoNotCall.objects.create(tenant=run.tenant, phone=lead.phone, agent_id=only_for, until=until, created_at=began)
    gone = dice.sample(leads, len(leads) // 50)
    Lead.objects.filter(pk__in=[lead.pk for lead in gone]).update(deleted_at=began)


def _run_queues(run: Rehearsal, dice: random.Random, now: datetime, *, deaths: bool = True) -> None:
    for agent_id in run.agents[:3]:
        if deaths and dice.random() < run.plan.deaths:
            _die(run, agent_id, dice, now)
        scheduling.run_agent(tenant_id=run.tenant.pk, agent_id=agent_id, now=now)
    placing.return_leases_of(tenant_id=run.tenant.pk, now=now)
    sessions.pause_silent_of(tenant_id=run.tenant.pk, now=now)


def _die(run: Rehearsal, agent_id: int, dice: random.Random, now: datetime) -> None:
    """A worker claims, perhaps places, and is never heard of again."""
    by = _machine(run.tenant)
    with tenant_scope(run.tenant.pk, by=by):
        claimed = claim_due(agent_id=agent_id, most=5, worker="dies", now=now, by=by).calls
        settings, agent = settings_now(), CallingAgent.objects.get(pk=agent_id)
        if claimed and dice.random() < 0.5:
            provider_of(settings).place([placing.order_for(call, agent, settings) for call in claimed], now=now)
    run.deaths += bool(claimed)


# --- people ---


def _act(run: Rehearsal, rep: Rep, now: datetime) -> None:
    """What a person does at this moment; what is refused them they leave."""
    local = now.astimezone(ZoneInfo(run.tenant.time_zone)).time()
    at_work = time(8) <= local < time(20)
    if rep.silent_until is not None and now < rep.silent_until:
        return
    rep.silent_until = now + timedelta(seconds=rep.dice.randint(40, 400)) if rep.dice.random() < 0.002 else None
    with _as(run, rep) as by:
        try:
            if rep.session is None:
                if at_work:
                    rep.session = sessions.start_session(agent_id=rep.agent_id, mode=rep.mode, now=now, by=by)
                return
            rep.session = sessions.beat(session_id=rep.session.pk, now=now, by=by)
            _work(rep, rep.session.pk, SessionState(rep.session.state), now, at_work=at_work, by=by)
        except MayNotCall:
            run.refusals += 1
            _leave(rep, now, by=by)
        except DomainError:
            run.refusals += 1
            rep.session = DialSession.objects.filter(user_id=rep.user.pk, ended_at=None).first()


def _work(rep: Rep, session_id: int, state: SessionState, now: datetime, *, at_work: bool, by: Actor) -> None:
    dice = rep.dice
    match state:
        case SessionState.PAUSED:
            if dice.random() < 0.3:
                sessions.resume(session_id=session_id, now=now, by=by)
        case SessionState.WAITING if not at_work:
            sessions.end_session(session_id=session_id, now=now, by=by)
            rep.session = None
        case SessionState.WAITING if dice.random() < 0.01:
            sessions.pause(session_id=session_id, reason=PauseReason.BREAK, now=now, by=by)
        case SessionState.WAITING:
            sessions.next_entry(session_id=session_id, now=now, by=by)
        case SessionState.PREVIEW if dice.random() < 0.05:
            sessions.skip_entry(session_id=session_id, minutes=dice.randint(5, 90), now=now, by=by)
        case SessionState.PREVIEW:
            sessions.dial(session_id=session_id, now=now, by=by)
        case SessionState.ON_CALL if dice.random() < 0.02:
            for call in Call.objects.filter(session_id=session_id, status="in_progress"):
                calls.hang_up(call_id=call.pk, now=now, by=by)
        case SessionState.WRAP_UP:
            for call in list(calls.unsaid_calls(rep.user.pk)):
                _say(call, dice, now, by=by)


def _say(call: Call, dice: random.Random, now: datetime, *, by: Actor) -> None:
    result = result_of(transcript_of(call)) or dice.choice([CallResult.COMPLETED, CallResult.COMPLETED, *BY_PERSON])
    at = now + timedelta(minutes=dice.randint(30, 600)) if result == CallResult.CALLBACK else None
    calls.record_outcome(call_id=call.pk, result=result, callback_at=at, for_anyone=dice.random() < 0.5, notes="", now=now, by=by)


def _leave(rep: Rep, now: datetime, *, by: Actor) -> None:
    assert rep.session is not None
    try:
        sessions.skip_entry(session_id=rep.session.pk, minutes=60, now=now, by=by)
    except (DomainError, ObjectDoesNotExist):
        rep.session = DialSession.objects.filter(user_id=rep.user.pk, ended_at=None).first()


@contextmanager
def _as(run: Rehearsal, rep: Rep) -> Iterator[Actor]:
    with tenant_scope(run.tenant.pk):
        by = actor_for(rep.user, door=Door.COMMAND)
    with tenant_scope(run.tenant.pk, by=by):
        yield by


def told(run: Rehearsal, proof: Proof) -> Sequence[tuple[str, Any]]:
    """What a reader wants to see first."""
    return [
        ("entries", proof.entries),
        ("calls", proof.calls),
        ("workers that died", run.deaths),
        ("refused to people", run.refusals),
        ("violations", len(proof.violations)),
    ]
