"""Real processes that are killed in the middle, and several that claim at once: nobody is called twice, nobody is forgotten."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from dialer.enums import EntryStatus
from dialer.models import Call, CallingAgent, QueueEntry, SimulatedStep
from dialer.services import placing, scheduling
from dialer.services.placing import LEASE
from tests.dialer.services.cast import make_agent, make_entry, make_settings
from tests.factories import inside, make_tenant

pytestmark = [pytest.mark.slow]
# A worker that stops at a point of its work and says so.
_WORKER = """
import sys, time
import django
django.setup()
from django.utils import timezone
from dialer.services import placing, scheduling
tenant, agent, point = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def stop(*_, **__):
    print("stopped", flush=True)
    time.sleep(60)
if point == "before placing":
    scheduling.place_calls = stop
if point == "before noting":
    placing.note_placements = stop
print("ready", flush=True)
if point == "race":
    sys.stdin.readline()
while scheduling.run_agent(tenant_id=tenant, agent_id=agent, now=timezone.now()).placed:
    pass
"""


def _worker(agent: CallingAgent, point: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", _WORKER, str(agent.tenant_id), str(agent.pk), point]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _read(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def _end(worker: "subprocess.Popen[str]") -> None:
    worker.send_signal(signal.SIGKILL)
    worker.communicate()


def _agent(entries: int, **fields: object) -> CallingAgent:
    tenant = make_tenant()
    make_settings(tenant, window_start="00:00", window_end="00:00")
    agent = make_agent(tenant, most_calls=200, **fields)
    for _ in range(entries):
        make_entry(agent, next_at=timezone.now() - timedelta(minutes=1))
    return agent


@pytest.mark.parametrize("point", ["before placing", "before noting"])
def test_a_killed_worker_calls_nobody_twice_and_forgets_nobody(committed_db: None, point: str) -> None:
    agent = _agent(3)
    worker = _worker(agent, point)
    assert [_read(worker), _read(worker)] == ["ready", "stopped"]
    _end(worker)
    now = timezone.now()
    with inside(agent.tenant_id):
        assert Call.objects.filter(status="queued", placed_at=None).count() == 3
    # Until the lease is over nobody touches what the dead one had.
    assert scheduling.run_agent(tenant_id=agent.tenant_id, agent_id=agent.pk, now=now).placed == 0
    assert placing.return_leases(now=now) == 0
    assert placing.return_leases(now=now + LEASE) == 3
    later = now + LEASE + timedelta(minutes=2)
    again = scheduling.run_agent(tenant_id=agent.tenant_id, agent_id=agent.pk, now=later).placed
    with inside(agent.tenant_id):
        if point == "before placing":
            assert again == 3
            assert Call.objects.filter(result="not_placed").count() == 3
        else:
            assert again == 0
            assert Call.objects.count() == 3
        assert Call.objects.exclude(placed_at=None).count() == 3
    scheduling.simulate(now=later + timedelta(hours=1))
    with inside(agent.tenant_id):
        entries = list(QueueEntry.objects.values_list("status", "attempts_count", "held_by"))
        assert all(attempts == 1 and not held for _status, attempts, held in entries)
        assert EntryStatus.NEW not in {status for status, _attempts, _held in entries}
        assert SimulatedStep.objects.count() == 0


def test_workers_side_by_side_never_claim_the_same(committed_db: None) -> None:
    agent = _agent(120)
    workers = [_worker(agent, "race") for _ in range(3)]
    for worker in workers:
        assert _read(worker) == "ready"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    with inside(agent.tenant_id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT entry_id), count(DISTINCT phone) FROM dialer_call WHERE placed_at IS NOT NULL")
        assert cursor.fetchone() == (120, 120, 120)


def test_workers_side_by_side_keep_to_the_lines(committed_db: None) -> None:
    agent = _agent(30)
    with inside(agent.tenant_id):
        CallingAgent.objects.update(most_calls=7)
    workers = [_worker(agent, "race") for _ in range(2)]
    for worker in workers:
        assert _read(worker) == "ready"
    for worker in workers:
        worker.communicate("go\n")
    with inside(agent.tenant_id):
        assert Call.objects.count() == 7
