"""Rows of the dialer for tests of its engine. The clock is whatever a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from crm.actors import Actor
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.enums import AgentKind
from dialer.models import Call, CallingAgent, DialerSettings, QueueEntry
from dialer.services import scheduling
from dialer.services.progress import SHORTEST_TALK
from dialer.services.summaries import result_of
from dialer.services.telephony import simulator
from leads.models import Lead
from tests.factories import inside, make_lead

# A Tuesday, ten in the morning in New York, three in the afternoon in London.
NOON = datetime(2025, 6, 10, 15, 0, tzinfo=UTC)
_number = count(100)
_numbers = count(2_000_000)


def make_agent(tenant: Tenant, **fields: Any) -> CallingAgent:
    with inside(tenant.pk):
        return CallingAgent.objects.create(
            **{
                "tenant": tenant,
                "name": f"Agent {next(_number)}",
                "kind": AgentKind.AUTOMATED,
                "most_calls": 50,
                "max_attempts": 3,
                **fields,
            }
        )


def make_entry(agent: CallingAgent, *, lead: Lead | None = None, phone: str = "", **fields: Any) -> QueueEntry:
    """An entry that is due, of a number in New York."""
    with inside(agent.tenant_id):
        tenant = Tenant.objects.get(pk=agent.tenant_id)
        phone = phone or f"+1212555{next(_number):04d}"
        lead = lead or make_lead(tenant, first_name="Jane", phone=phone)
        at = fields.pop("next_at", NOON - timedelta(hours=1))
        return QueueEntry.objects.create(
            **{
                "tenant": tenant,
                "agent": agent,
                "lead": lead,
                "first_name": "Jane",
                "phone": phone,
                "next_at": at,
                "schedule_at": at,
                **fields,
            }
        )


def make_settings(tenant: Tenant, **fields: Any) -> DialerSettings:
    with inside(tenant.pk):
        return DialerSettings.objects.create(tenant=tenant, **fields)


def machine(tenant: Tenant) -> Actor:
    return Actor.system(tenant_id=tenant.pk, label="test")


@contextmanager
def working(tenant: Tenant) -> Iterator[Actor]:
    with tenant_scope(tenant.pk, by=machine(tenant)):
        yield machine(tenant)


def run(agent: CallingAgent, now: datetime) -> int:
    """What a worker does at this moment with one agent."""
    return scheduling.run_agent(tenant_id=agent.tenant_id, agent_id=agent.pk, now=now).placed


def pass_time(now: datetime, seconds: int = 600) -> datetime:
    """Let the simulator report all that happens until then."""
    later = now + timedelta(seconds=seconds)
    scheduling.simulate(now=later)
    return later


def calls_of(entry: QueueEntry) -> list[Call]:
    with inside(entry.tenant_id):
        return list(Call.objects.filter(entry_id=entry.pk).order_by("pk"))


def phone_with(kind: str, *, result: str = "", attempts: int = 1) -> str:
    """A number of its own, in New York, that the simulator lets come to this: at its first attempts, where several are named."""
    for number in _numbers:
        phone = f"+1646{number:07d}"
        fates = [simulator.fate_of(phone=phone, attempt=attempt, ring_seconds=25) for attempt in range(1, attempts + 1)]
        if all(fate.kind == kind and (not result or _result(fate) == result) for fate in fates):
            return phone
    raise AssertionError


def _result(fate: simulator.Fate) -> str:
    return result_of(fate.transcript) or ("hung_up" if fate.talks < SHORTEST_TALK else "completed")
