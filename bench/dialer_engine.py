"""The case of the dialer's engine: a hundred thousand due entries by four workers, a pass over a million that wait, and a rehearsed night."""

import os
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection
from django.db.models import Model
from django.db.models.fields.generated import GeneratedField
from django.utils import timezone

from bench.cases import Bench
from crm.identity.services.tenants import open_tenant
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.enums import AgentKind
from dialer.models import AgentJob, Call, CallingAgent, DialerSettings, QueueEntry
from dialer.services import scheduling
from dialer.services.rehearsal import Plan, rehearse
from leads.models import Lead, LeadStatus

DUE, WAITING, WORKERS, CHUNK = 100_000, 1_000_000, 4, 25_000
# Says when it is ready, and begins when it is told.
_WORKER = "import bench.__main__; from bench.dialer_engine import work; work({tenant}, {first})"


def dialing(_bench: Bench) -> dict[str, Any]:
    """Claim and place, against a floor of bare SQL; then a scheduler's pass over a million waiting entries."""
    tenant = _tenant()
    agents = _agents(tenant, WORKERS)
    lead = _fill_due(tenant, agents)
    floor = _by_workers(tenant.pk, "floor")
    with tenant_scope(tenant.pk), connection.cursor() as cursor:
        cursor.execute("DELETE FROM dialer_call WHERE tenant_id = %s", [tenant.pk])
        cursor.execute("DELETE FROM dialer_simulatedstep WHERE tenant_id = %s", [tenant.pk])
        cursor.execute(
            "UPDATE dialer_queueentry SET held_by = '', status = 'new', next_at = now() - interval '1 hour' "
            "WHERE tenant_id = %s AND status <> 'done'",
            [tenant.pk],
        )
    _tidy()
    seconds = _by_workers(tenant.pk, "work")
    with tenant_scope(tenant.pk):
        placed = Call.objects.exclude(placed_at=None).count()
        twice = placed - Call.objects.values("entry_id").distinct().count()
    print(
        f"  {DUE:,} due entries claimed and placed by {WORKERS} workers: {placed / seconds:,.0f} a second; bare SQL {DUE / floor:,.0f}",
        flush=True,
    )
    print(f"  placed {placed:,}, claimed twice {twice}", flush=True)
    waiting = _fill_waiting(tenant, lead)
    pass_seconds = _passes(tenant, waiting)
    print(f"  scheduler's pass with {WAITING:,} waiting: {pass_seconds:.3f} s", flush=True)
    assert (placed, twice) == (DUE, 0)
    return {"a_second": placed / seconds, "floor": DUE / floor, "twice": twice, "pass": pass_seconds}


def night(_bench: Bench) -> dict[str, Any]:
    """A day compressed, of the autumn on which Europe's clocks go back, checked by who knows nothing of the engine."""
    begins = datetime(2025, 10, 26, 0, 0, tzinfo=UTC)
    started = time.monotonic()
    run, proof = rehearse(Plan(begins=begins, hours=24, entries=2000, seed=26, reps=4), tenant_name=f"night-{uuid.uuid4().hex[:8]}")
    print(
        f"  {proof.entries:,} entries, {proof.calls:,} calls, {run.deaths} dead workers in {time.monotonic() - started:.0f} s: "
        f"{len(proof.violations)} violations",
        flush=True,
    )
    for violation in proof.violations[:20]:
        print("   ", violation, flush=True)
    print("   ", dict(proof.endings), flush=True)
    return {"calls": proof.calls, "violations": len(proof.violations), "endings": dict(proof.endings)}


def work(tenant_id: int, first: int) -> None:
    """A worker: agent by agent, until nothing is due anywhere."""
    with tenant_scope(tenant_id):
        agents = list(CallingAgent.objects.order_by("pk").values_list("pk", flat=True))
    agents = agents[first:] + agents[:first]
    print("ready", flush=True)
    sys.stdin.readline()
    while sum(scheduling.run_agent(tenant_id=tenant_id, agent_id=agent_id, now=timezone.now()).placed for agent_id in agents):
        pass


def floor(tenant_id: int, first: int) -> None:
    """The same rows by bare SQL: claim, call, two reports a call, without a single rule looked at."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection_, connection_.cursor() as cursor:
        cursor.execute("SELECT set_config('crm.tenant_id', %s, false)", [str(tenant_id)])
        cursor.execute("SELECT id FROM dialer_callingagent WHERE tenant_id = %s ORDER BY id", [tenant_id])
        agents = [row[0] for row in cursor.fetchall()]
        agents = agents[first:] + agents[:first]
        connection_.commit()
        print("ready", flush=True)
        sys.stdin.readline()
        for agent_id in agents:
            while True:
                cursor.execute(_FLOOR, {"tenant": tenant_id, "agent": agent_id})
                done = cursor.rowcount
                connection_.commit()
                if not done:
                    break


_FLOOR = """
WITH due AS (
    SELECT id, lead_id, phone, first_name FROM dialer_queueentry
    WHERE tenant_id = %(tenant)s AND agent_id = %(agent)s AND deleted_at IS NULL AND status <> 'done' AND NOT is_immediate AND next_at <= now()
    ORDER BY next_at, id LIMIT 500 FOR UPDATE SKIP LOCKED
), held AS (
    UPDATE dialer_queueentry AS e SET held_by = 'floor', next_at = now() + interval '1 day', status = 'in_progress' FROM due WHERE e.id = due.id
    RETURNING e.id
), called AS (
    INSERT INTO dialer_call (
        tenant_id, public_id, entry_id, lead_id, agent_id, lead_name, phone, agent_name, caller_id, mode, attempt, status, result, outcome,
        answered_by, awaits_outcome, duration_seconds, provider, provider_call_id, provider_sequence, error, recording, transcript, summary, notes,
        placed_at, created_at)
    SELECT %(tenant)s, gen_random_uuid(), id, lead_id, %(agent)s, first_name, phone, '', '', '', 1, 'queued', '', '', '', false, 0, 'simulator',
        '', -1, '', '', '', '', '', now(), now()
    FROM due ORDER BY phone RETURNING id
)
INSERT INTO dialer_simulatedstep (tenant_id, call_id, number, status, answered_by, due_at)
SELECT %(tenant)s, id, n, 'ringing', '', now() + n * interval '1 minute' FROM called, generate_series(1, 2) AS n
"""


def _by_workers(tenant_id: int, what: str) -> float:
    """How long it takes four processes, from the word to the last one's end."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER.format(tenant=tenant_id, first=number).replace("work", what)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(WORKERS)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        while worker.stdout.readline().strip() != "ready":
            assert worker.poll() is None
    started = time.monotonic()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.wait() == 0
    return time.monotonic() - started


def _passes(tenant: Tenant, agent_id: int) -> float:
    """The slowest of five passes: jobs seen to, the queue looked at, and one entry due in it."""
    worst = 0.0
    for _ in range(5):
        now = timezone.now()
        with tenant_scope(tenant.pk):
            ids = list(QueueEntry.objects.filter(agent_id=agent_id, status="new").order_by("-next_at").values_list("pk", flat=True)[:1])
            QueueEntry.objects.filter(pk__in=ids).update(next_at=now)
        started = time.monotonic()
        scheduling.schedule(now=now)
        AgentJob.objects.filter(agent_id=agent_id).update(due_at=now)
        placed = scheduling.run_due(now=now)
        worst = max(worst, time.monotonic() - started)
        assert placed >= len(ids), placed
    return worst


def _tenant() -> Tenant:
    # Those of earlier runs are not to be dialled meanwhile.
    Tenant.objects.filter(name__startswith="bench-dialer-").update(is_active=False)
    tenant = open_tenant(name=f"bench-dialer-{uuid.uuid4().hex[:6]}")
    with tenant_scope(tenant.pk):
        DialerSettings.objects.create(tenant=tenant, window_start="00:00", window_end="00:00", most_calls_a_day=100)
        Tenant.objects.filter(pk=tenant.pk).update(working_hours={})
    tenant.refresh_from_db()
    return tenant


def _agents(tenant: Tenant, number: int) -> list[CallingAgent]:
    with tenant_scope(tenant.pk):
        return [
            CallingAgent.objects.create(tenant=tenant, name=f"Bench {n}", kind=AgentKind.AUTOMATED, most_calls=32_000)
            for n in range(number)
        ]


def _fill_due(tenant: Tenant, agents: list[CallingAgent]) -> int:
    """A lead and a due entry for each number, by copies of one row."""
    with tenant_scope(tenant.pk):
        lead = Lead.objects.create(
            tenant=tenant,
            first_name="Bench",
            phone="+12125550100",
            status=LeadStatus.objects.get(code="new"),
            status_changed_at=timezone.now(),
            created_at=timezone.now(),
        )
        seed = QueueEntry.objects.create(tenant=tenant, agent=agents[0], lead=lead, first_name="Bench", phone="+12125550100", status="done")
    for start in range(0, DUE, CHUNK):
        with tenant_scope(tenant.pk):
            _copies(Lead, lead.pk, start, start + CHUNK, phone="'+1212' || (2000000 + n)")
            first = Lead.objects.get(phone=f"+1212{2_000_000 + start}").pk
            _copies(
                QueueEntry, seed.pk, start, start + CHUNK, phone="'+1212' || (2000000 + n)", agent_id=str(agents[start // CHUNK % len(agents)].pk),
                status="'new'", public_id="gen_random_uuid()", next_at="now() - interval '1 hour'",
                lead_id=f"{first - start} + n",
            )  # fmt: skip
    _tidy()
    return lead.pk


def _fill_waiting(tenant: Tenant, lead_id: int) -> int:
    with tenant_scope(tenant.pk):
        agent = CallingAgent.objects.create(tenant=tenant, name="Waiting", kind=AgentKind.AUTOMATED, most_calls=32_000)
        seed = QueueEntry.objects.create(
            tenant=tenant, agent=agent, lead_id=lead_id, first_name="Bench", phone="+13105550100", status="done"
        )
    for start in range(0, WAITING, CHUNK * 4):
        with tenant_scope(tenant.pk):
            _copies(
                QueueEntry, seed.pk, start, start + CHUNK * 4, phone="'+1310' || (2000000 + n)", status="'new'", public_id="gen_random_uuid()",
                next_at="now() + interval '1 day' + n * interval '1 second'",
            )  # fmt: skip
    _tidy()
    return agent.pk


def _copies(model: type[Model], pk: int, start: int, stop: int, **changed: str) -> None:
    """Copies of a row with some columns changed."""
    names = [str(field.column) for field in model._meta.concrete_fields if not field.primary_key and not isinstance(field, GeneratedField)]
    table = model._meta.db_table
    values = ", ".join(changed.get(name, f'row."{name}"') for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({listed}) SELECT {values} FROM {table} AS row, generate_series(%s, %s) AS n WHERE row.id = %s",
            [start, stop - 1, pk],
        )


def _tidy() -> None:
    """What autovacuum would have done by then."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        for table in ("dialer_queueentry", "dialer_call", "dialer_simulatedstep"):
            owner.execute(f"VACUUM ANALYZE {table}")  # type: ignore[arg-type]
