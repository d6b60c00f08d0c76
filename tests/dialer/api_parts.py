"""Rows for tests of the dialer's API."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from crm.identity.models import User
from crm.tenancy.models import Tenant
from dialer.enums import CallResult, CallStatus
from dialer.models import AgentMember, Call, CallingAgent, QueueEntry
from tests.factories import inside, make_lead

_number = count(1)
NOW = datetime(2025, 6, 23, 10, tzinfo=UTC)
_STATUS = {CallResult.NO_ANSWER: CallStatus.NO_ANSWER, CallResult.BUSY: CallStatus.BUSY, CallResult.FAILED: CallStatus.FAILED}


def make_agent(tenant: Tenant, *members: User, **fields: Any) -> CallingAgent:
    """A queue, worked by these people, or by everybody who may call."""
    with inside(tenant.pk):
        agent = CallingAgent.objects.create(**{"tenant": tenant, "name": f"Agent {next(_number)}", **fields})
        AgentMember.objects.bulk_create([AgentMember(agent=agent, user=member) for member in members])
    return agent


def make_entry(agent: CallingAgent, **fields: Any) -> QueueEntry:
    """An entry with its lead."""
    phone = fields.pop("phone", "") or f"+1415555{next(_number):04d}"
    with inside(agent.tenant_id):
        lead = fields.pop("lead", None) or make_lead(agent.tenant, first_name=fields.get("first_name", "John"), phone=phone)
        return QueueEntry.objects.create(
            **{"tenant_id": agent.tenant_id, "agent": agent, "lead": lead, "first_name": "John", "phone": phone, **fields}
        )


def make_call(of: QueueEntry, *, at: datetime | None = None, result: CallResult = CallResult.COMPLETED, **fields: Any) -> Call:
    """A call that is over."""
    at = at or timezone.now()
    with inside(of.tenant_id):
        return Call.objects.create(
            **{
                "tenant_id": of.tenant_id,
                "entry": of,
                "lead_id": of.lead_id,
                "agent": of.agent,
                "lead_name": of.first_name,
                "phone": of.phone,
                "agent_name": of.agent.name,
                "status": _STATUS.get(result, CallStatus.COMPLETED),
                "result": result,
                "outcome": result.outcome or "",
                "provider": "simulator",
                "duration_seconds": 180,
                "created_at": at,
                "placed_at": at,
                "ended_at": at + timedelta(seconds=180),
                **fields,
            }
        )


def fresh(entry: QueueEntry) -> QueueEntry:
    """The entry as it stands now."""
    with inside(entry.tenant_id):
        return QueueEntry.objects.get(pk=entry.pk)
