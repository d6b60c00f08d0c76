"""The cases of the dialer's API: the history of two million calls, their figures, and a list of people brought in."""

import csv
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.core.files import File

from bench.cases import Bench, show_line
from bench.load import timed
from crm.actors import Door
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.operations import runner
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from dialer.models import AgentMember, Call, CallingAgent, QueueEntry
from dialer.services.counts import compact_counts, wrong_counts
from dialer.services.imports import start_import
from leads.models import Lead

CALLS, ENTRIES, CHUNK, IMPORTED = 2_000_000, 500_000, 100_000, 100_000
_AGENTS = ("Inbound", "Evening line", "Renewals", "Trade fair", "Partners", "Cold list", "Win back", "Enterprise")
_FIRST = "James Olivia Liam Emma Noah Ava William Sophia Lucas Mia Mateo Zoe Aaron Yara Ivan Lena Chloe Daniel Grace Henry".split()
_RESULTS = (
    ("completed", "answered", "completed", 34), ("no_answer", "no_answer", "no_answer", 30), ("voicemail", "no_answer", "completed", 14),
    ("busy", "no_answer", "busy", 8), ("not_interested", "answered", "completed", 8), ("failed", "failed", "failed", 6),
)  # fmt: skip
_ENTRY_COLUMNS = (
    "tenant_id, public_id, agent_id, lead_id, first_name, phone, zone, custom_fields, status, disposition, schedule_at, is_immediate, next_at, "
    "waits_for, held_by, attempts_count, tried_hours, last_result, created_via, created_at, updated_at"
)
_CALL_COLUMNS = (
    "tenant_id, public_id, entry_id, lead_id, agent_id, user_id, lead_name, phone, agent_name, caller_id, mode, attempt, status, result, outcome, "
    "answered_by, awaits_outcome, placed_at, ended_at, duration_seconds, previous_at, provider, provider_call_id, provider_sequence, error, recording, "
    "transcript, summary, notes, created_at"
)


def calls(bench: Bench) -> dict[str, Any]:
    """History pages, searches and metrics, for a manager who sees all and a rep who sees two queues and their own calls."""
    number = _fill(bench)
    print(f"history and metrics of {number:,} calls (to reach: p95 ≤ 150 ms)")
    out: dict[str, Any] = {}
    floor = _floor(bench)
    print(f"  floor: the newest ten rows and a plain count of all, as their owner without policies   {floor:.0f} ms")
    out["floor"] = floor
    with tenant_scope(bench.tenant_id):
        agent = str(CallingAgent.objects.get(name="Renewals").public_id)
        phone = Call.objects.order_by("pk").values_list("phone", flat=True)[1000]
    year = {"start_date": f"{datetime.now(UTC) - timedelta(days=365):%Y-%m-%d}", "end_date": f"{datetime.now(UTC):%Y-%m-%d}"}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "first page": ("history", {}),
        "a page in the middle": ("history", {"page": number // 20}),
        "the last page": ("history", {"page": number // 10 - 1, "per_page": 10}),
        "one agent": ("history", {"agent_id": agent}),
        "one agent, failed, deep": ("history", {"agent_id": agent, "outcome": "failed", "page": 500}),
        "answered, a year, 100 rows": ("history", {"outcome": "answered", "per_page": 100, **year}),
        "search a number": ("history", {"search": phone}),
        "search its last four digits": ("history", {"search": phone[-4:]}),
        "search a frequent name": ("history", {"search": "olivia"}),
        "search two letters": ("history", {"search": "ol"}),
        "search nobody": ("history", {"search": "zzzzqq"}),
        "search an agent's name": ("history", {"search": "renewals"}),
        "metrics of all": ("metrics", {}),
        "metrics of a year": ("metrics", year),
        "metrics of an agent": ("metrics", {"agent_id": agent, **year}),
    }
    for login in ("manager", "rep0"):
        api = bench.api(login)
        for name, (path, query) in cases.items():
            if login != "manager" and query.get("agent_id"):
                continue
            timing = timed(api, f"/api/v1/calls/{path}?{urlencode(query)}", rounds=20, warm=2)
            show_line(f"{login} {path}, {name}", timing, "≤ 150 ms")
            out[f"{login} {path} {name}"] = {"p50": timing.p50, "p95": timing.p95}
    started = time.perf_counter()
    with tenant_scope(bench.tenant_id):
        out["wrong_counts"] = wrong_counts()
    print(f"  the ledgers against a plain count: {out['wrong_counts']} cells differ ({time.perf_counter() - started:.1f} s)")
    return out


def _floor(bench: Bench) -> float:
    """What the database takes for the obvious way."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        samples = []
        for _ in range(5):
            started = time.perf_counter()
            owner.execute(
                "SELECT * FROM dialer_call WHERE tenant_id = %s ORDER BY created_at DESC, id DESC LIMIT 10", [bench.tenant_id]
            ).fetchall()
            owner.execute("SELECT count(*) FROM dialer_call WHERE tenant_id = %s AND outcome <> ''", [bench.tenant_id]).fetchone()
            samples.append((time.perf_counter() - started) * 1000)
    return sorted(samples)[2]


def _fill(bench: Bench) -> int:
    """Two calls a lead and four an entry, by COPY, over two years; the first agents' members are reps. Once."""
    with tenant_scope(bench.tenant_id):
        leads = Lead.objects.count()
        wanted, entries = leads * CALLS // 1_000_000, leads * ENTRIES // 1_000_000
        there = Call.objects.count()
        if there >= wanted:
            return there
        people = list(User.objects.order_by("pk").values_list("pk", flat=True))
        reps = list(User.objects.filter(username__startswith="rep").order_by("pk")[:4])
        agents = [CallingAgent.objects.get_or_create(name=name)[0] for name in _AGENTS]
        for agent in agents[2:]:
            for rep in reps[2:]:
                AgentMember.objects.get_or_create(agent=agent, user=rep)
        ids = [(agent.pk, agent.name) for agent in agents]
        lowest = Lead.objects.order_by("pk").values_list("pk", flat=True)[0]
        queued = QueueEntry.objects.count()
    started = time.perf_counter()
    dice = random.Random(6)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        # As the scope of a request sets it, for the triggers of the ledgers.
        owner.execute("SELECT set_config('crm.tenant_id', %s, false)", [str(bench.tenant_id)])
        if not queued:
            _copy(owner, "dialer_queueentry", _ENTRY_COLUMNS, _entries(bench.tenant_id, lowest, leads, entries, ids), entries)
        first = owner.execute("SELECT min(id) FROM dialer_queueentry WHERE tenant_id = %s", [bench.tenant_id]).fetchone()
        rows = _calls(bench.tenant_id, first[0] if first else 0, entries, lowest, leads, ids, people, wanted - there, dice)
        _copy(owner, "dialer_call", _CALL_COLUMNS, rows, wanted - there)
    compact_counts()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        for table in ("dialer_queueentry", "dialer_call", "dialer_callcount", "dialer_reachcount"):
            owner.execute(f"VACUUM ANALYZE {table}")
    print(f"built {wanted - there:,} calls in {time.perf_counter() - started:.0f} s")
    return wanted


def _copy(owner: Any, table: str, columns: str, rows: Iterator[tuple[Any, ...]], number: int) -> None:
    for _ in range(0, number, CHUNK):
        with owner.transaction(), owner.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for _row in range(CHUNK):
                row = next(rows, None)
                if row is None:
                    break
                copy.write_row(row)


def _phone(number: int) -> str:
    return f"+1{212 + number % 700}{2000000 + number * 7919 % 7_999_999}"


def _entries(tenant: int, lowest: int, leads: int, number: int, agents: list[tuple[int, str]]) -> Iterator[tuple[Any, ...]]:
    now = datetime.now(UTC)
    for place in range(number):
        yield (
            tenant, uuid.uuid4(), agents[place % len(agents)][0], lowest + place % leads, _FIRST[place % len(_FIRST)], f"+{10**10 + place}", "", "{}",
            "done", "completed", now, False, now, "", "", 4, "{}", "completed", "api", now, now,
        )  # fmt: skip


def _calls(
    tenant: int, first: int, entries: int, lowest: int, leads: int, agents: list[tuple[int, str]], people: list[int], number: int, dice: Any
) -> Iterator[tuple[Any, ...]]:
    now, weights = datetime.now(UTC) - timedelta(hours=1), [weight for *_, weight in _RESULTS]
    last: dict[int, datetime] = {}
    step = timedelta(days=730) / number
    for place in range(number):
        at = now - step * (number - place)
        entry = place % entries
        result, outcome, status, _weight = dice.choices(_RESULTS, weights)[0]
        agent, name = agents[entry % len(agents)]
        yield (
            tenant, uuid.uuid4(), first + entry, lowest + entry % leads, agent, dice.choice(people), _FIRST[entry % len(_FIRST)], _phone(entry), name,
            "", "preview", place // entries + 1, status, result, outcome, "", False, at, at + timedelta(seconds=90), dice.randint(5, 600),
            last.get(entry), "simulator", "", -1, "", "", "", "", "", at,
        )  # fmt: skip
        last[entry] = at


def dialerimport(bench: Bench) -> dict[str, Any]:
    """A CSV of people to be called, through the operation as a worker runs it: leads found or made, entries queued."""
    print(f"CSV import of {IMPORTED:,} people into a queue (to reach: ≥ 1,200 rows a second)")
    run = uuid.uuid4().hex[:6]
    base = random.Random().randrange(10**6)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["first_name", "phone", "company", "position", "notes", "schedule_at"])
            for number in range(IMPORTED):
                phone = f"({212 + number % 700}) {200 + (base + number) // 10_000 % 700:03d}-{(base + number) % 10_000:04d}"
                writer.writerow([f"{_FIRST[number % 20]} {run}", phone, "Acme Works", "Manager", "Call after lunch", ""])
        user = User.identities.select_related("tenant").get(username=f"manager.{bench.written_id}")
        with tenant_scope(bench.written_id), path.open("rb") as stored:
            by = actor_for(user, door=Door.COMMAND)
            agent = CallingAgent.objects.create(name=f"Bench {run}")
            operation = start_import(file=File(stored, name="people.csv"), agent=agent, by=by)
        started = time.perf_counter()
        runner.run(operation.pk)
        took = time.perf_counter() - started
    with tenant_scope(bench.written_id):
        operation = Operation.objects.get(pk=operation.pk)
    rate = operation.done / took
    print(f"  {operation.created:,} queued, {operation.failed:,} refused in {took:.1f} s: {rate:,.0f} rows a second")
    return {"rate": rate, "queued": operation.created, "refused": operation.failed}
