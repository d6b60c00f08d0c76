"""The cases of coming in by many and of taking back: website webhook, CSV import, undo."""

import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from audit.services.undo import undo_operation
from bench.cases import Bench, show_line
from bench.load import Caller, hammer
from crm.actors import Actor, Door
from crm.bulk import insert_records
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.operations import runner
from crm.operations.models import Operation
from crm.operations.services import start_operation
from crm.tenancy.scope import tenant_scope
from leads.models import Lead, WebForm
from leads.selectors import vocabulary
from leads.services.forms import FormSettings, save_form
from leads.services.upsert import KNOWN_SQL

IMPORTED, FLOOR_ROWS, CHANGED = 100_000, 20_000, 50_000
_FIRST = "James Olivia Liam Emma Noah Ava William Sophia Lucas Mia Mateo Zoe Aaron Yara Ivan Lena Chloe Daniel Grace Henry".split()
_LAST = "Smith Johnson Brown Garcia Miller Davis Lopez Wilson Moore Taylor Lee Clark Lewis Walker Hall Young King Wright Scott".split()
_AREAS = (212, 415, 312, 617, 206, 303, 404, 305, 214, 202)


def webhook(bench: Bench) -> dict[str, Any]:
    """Website submissions, answered once they are durable, with 8 clients, beside a bare DRF insert."""
    print("website webhook, 8 clients (to reach: ≥ 0.4 of a bare DRF insert)")
    with tenant_scope(bench.written_id):
        form = WebForm.objects.filter(name="bench").first() or save_form(
            form=None,
            wanted=FormSettings(name="bench", hourly_limit=1_000_000),
            by=Actor.system(tenant_id=bench.written_id, door=Door.COMMAND),
        )
        key = WebForm.objects.select_related("key").get(pk=form.pk).key.key
    rounds = []
    for _ in range(3):
        run = uuid.uuid4().hex[:8]
        phones = int(run, 16)

        def answers(number: int, run: str = run, phones: int = phones) -> dict[str, str]:
            return {
                "first_name": "Web", "last_name": f"Person {number}", "email": f"web{number}@{run}.example",
                "phone": f"+447{(phones + number) % 10**9:09d}", "company": "Bench Works", "message": "Please call back.",
            }  # fmt: skip

        def bare(number: int) -> bytes:
            given = answers(number)
            return json.dumps(
                {**{name: given[name] for name in ("first_name", "last_name", "email", "phone", "company")}, "entity_id": 1}
            ).encode()

        def body(number: int) -> bytes:
            return json.dumps({"page_url": "https://bench.example/", "utm": {"source": "bench"}, "answers": answers(number)}).encode()

        floor, _timing = hammer(lambda: Caller(bench.port), "/bench/leads", bare, clients=8, seconds=6)
        rate, timing = hammer(lambda: Caller(bench.port, {"X-Form-Key": key}), "/api/webhooks/website", body, clients=8, seconds=8)
        rounds.append((rate / floor, floor, rate, timing.p95))
        print(f"  floor {floor:,.0f} a second, webhook {rate:,.0f} a second, {rate / floor:.2f} of the floor", flush=True)
        show_line("webhook", timing)
    ratio, floor, rate, p95 = sorted(rounds)[1]
    return {"floor": floor, "rate": rate, "ratio": ratio, "p95": p95}


def imports(bench: Bench) -> dict[str, Any]:
    """A CSV file through the whole engine, in a process of its own as a worker is one, beside its bare floor."""
    print(f"CSV import of {IMPORTED:,} rows (to reach: ≥ 4,000 rows a second, ≤ 300 MB, ≤ 5 × the bare stage and insert)")
    floor = _bare_insert(bench)
    print(f"  floor: stage, look e-mails up, insert into the same table   {floor:,.0f} rows a second", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        _write_file(path)
        user = f"manager@bench{bench.written_id}.example"
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "manage.py", "import_leads", str(path), "--user", user], capture_output=True, text=True, check=True
        )
        took = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rate = float(done.stdout.rsplit(",", 1)[1].split()[0])
    print(f"  {done.stdout.strip()}")
    print(
        f"  {rate:,.0f} rows a second ({took:.1f} s with start-up), {memory:,.0f} MB at most, {floor / rate:.1f} × the floor's time",
        flush=True,
    )
    return {"floor": floor, "rate": rate, "memory_mb": memory, "times_floor": floor / rate}


def _write_file(path: Path) -> None:
    dice, run = random.Random(), uuid.uuid4().hex[:6]
    base = dice.randrange(10**6)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["First Name", "Last Name", "E-mail", "Phone", "Company", "Job Title", "Industry", "City", "Country", "Lead Source", "Budget"]
        )
        for number in range(IMPORTED):
            first, last = dice.choice(_FIRST), dice.choice(_LAST)
            phone = f"({dice.choice(_AREAS)}) {200 + (base + number) // 10_000 % 700:03d}-{(base + number) % 10_000:04d}"
            company = f"{dice.choice(_LAST)} Works {dice.randrange(5000)}"
            row = [first, last, f"{first}.{last}{number}@{run}{number % 9000}.example".lower(), phone, company]
            writer.writerow([*row, "Sales Manager", "Technology", "Boston", "US", "Website", number])


def _bare_insert(bench: Bench) -> float:
    """Rows a second of COPY into a stage, one look-up of their e-mails, and one insert; rolled back."""
    dice = random.Random()
    run = uuid.uuid4().hex[:6]
    with tenant_scope(bench.written_id):
        status, now = vocabulary().starting, timezone.now()
        leads = []
        for number in range(FLOOR_ROWS):
            first, last = dice.choice(_FIRST), dice.choice(_LAST)
            email = f"{first}.{last}{number}@{run}{number % 9000}.example".lower()
            leads.append(
                Lead(
                    tenant_id=bench.written_id,
                    status=status,
                    first_name=first,
                    last_name=last,
                    email=email,
                    email_key=email,
                    phone=f"+1415{dice.randrange(10**7):07d}",
                    company=f"{last} Works {dice.randrange(5000)}",
                    title="Sales Manager",
                    industry="Technology",
                    city="Boston",
                    country="US",
                    lead_source="Website",
                    platform_key="import",
                    status_changed_at=now,
                    created_at=now,
                    created_via="import",
                )
            )
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(KNOWN_SQL, {"mails": [lead.email_key for lead in leads], "phones": [], "tenant": bench.written_id})
        insert_records(leads)
        took = time.perf_counter() - started
        transaction.set_rollback(True)
    return FLOOR_ROWS / took


def undo(bench: Bench) -> dict[str, Any]:
    """A bulk change of fifty thousand leads, taken back."""
    print(f"undo of a bulk change of {CHANGED:,} leads (to reach: ≤ 60 s)")

    def change(operation: Operation, actor: Actor) -> runner.Chunk:
        ids = list(Lead.objects.live().order_by("pk").values_list("pk", flat=True)[:CHANGED])
        mark = uuid.uuid4().hex[:12]
        number = Lead.objects.filter(pk__in=ids).update(company=f"Changed {mark}", priority=3)
        return runner.Chunk(cursor={}, finished=True, updated=number)

    runner.kind("bench.change", change, undoable=True)
    user = User.identities.select_related("tenant").get(email=f"manager@bench{bench.written_id}.example")
    by = actor_for(user, door=Door.COMMAND)
    with tenant_scope(bench.written_id, by=by):
        operation = start_operation(kind="bench.change", title="Bench", by=by)
    started = time.perf_counter()
    runner.run(operation.pk)
    changed_in = time.perf_counter() - started
    with tenant_scope(bench.written_id, by=by):
        operation.refresh_from_db()
        taken_back = undo_operation(operation=operation, by=by)
    started = time.perf_counter()
    runner.run(taken_back.pk)
    took = time.perf_counter() - started
    with tenant_scope(bench.written_id):
        taken_back.refresh_from_db()
    print(
        f"  change {changed_in:.1f} s, undo {took:.1f} s: {taken_back.updated:,} restored, {taken_back.failed:,} listed, {taken_back.state}",
        flush=True,
    )
    return {"change_seconds": changed_in, "undo_seconds": took, "restored": taken_back.updated}
