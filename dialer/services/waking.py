"""See to it that a queue is looked at soon: its job is due now, and a worker is nudged once the change is committed."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction

from crm.events import live, nudge
from crm.tenancy.scope import current_tenant_id
from dialer.enums import AgentKind, EntryStatus, WaitReason
from dialer.models import CallingAgent, QueueEntry

RUN_AGENTS = "dialer.run_agents"
# What an entry was put aside for, and what may have changed since.
_PUT_ASIDE = (WaitReason.OUTSIDE_WINDOW, WaitReason.DO_NOT_CALL, WaitReason.DAILY_CAP, WaitReason.LEAD_GONE)


def wake_agent(agent_id: int, *, now: datetime) -> None:
    """Have an agent's queue looked at. An agent worked by people has no job: its queue is looked at whenever somebody asks for the next."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_agentjob (tenant_id, agent_id, due_at)
            SELECT tenant_id, id, %(now)s FROM dialer_callingagent
            WHERE tenant_id = %(tenant)s AND id = %(agent)s AND kind = %(automated)s AND deleted_at IS NULL
            ON CONFLICT (agent_id) DO UPDATE SET due_at = excluded.due_at WHERE dialer_agentjob.due_at > excluded.due_at
            """,
            {"now": now, "tenant": current_tenant_id(), "agent": agent_id, "automated": AgentKind.AUTOMATED},
        )
        if cursor.rowcount:
            transaction.on_commit(lambda: nudge.once(RUN_AGENTS))
    agent = CallingAgent.objects.filter(pk=agent_id).values_list("public_id", flat=True).first()
    if agent is not None:
        live.announce("dialer.agent", data={"agent": str(agent)})


def look_again(*, phones: Sequence[str] | None = None, now: datetime) -> int:
    """Look anew at what was put aside: everything, or what has these numbers, such as those taken off a do-not-call list."""
    put_aside = QueueEntry.objects.filter(deleted_at=None, waits_for__in=_PUT_ASIDE, next_at__gt=now).exclude(status=EntryStatus.DONE)
    if phones is not None:
        put_aside = put_aside.filter(phone__in=phones)
    agents = list(put_aside.order_by().values_list("agent_id", flat=True).distinct())
    moved = put_aside.update(next_at=now)
    for agent_id in agents:
        wake_agent(agent_id, now=now)
    return moved
