"""Prove that nothing is lost and nothing doubled while processes are killed: `make faults`.

The product runs as in production, with durable servers. Senders post website leads and lists to a webhook, each sending
again until it is told that all went well, while files are imported. Meanwhile kill -9 falls on web, workers, broker and
database in turn. In the end every arrival that was accepted must have exactly one lead or stand visibly failed, and every
import's counters must be true.
"""

import argparse
import contextlib
import csv
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
os.environ.setdefault("DEMO", "1")
os.environ["DATABASE_POOL"] = "0"

import django

django.setup()

from django.core.files import File  # noqa: E402 -- Django first
from django.db import DatabaseError, connection  # noqa: E402

from crm.actors import Actor, Door  # noqa: E402
from crm.embedded.postgres import PostgresServer  # noqa: E402
from crm.embedded.product import CELERY  # noqa: E402
from crm.embedded.state import Kind  # noqa: E402
from crm.embedded.system import processes_in  # noqa: E402
from crm.embedded.valkey import ValkeyServer  # noqa: E402
from crm.identity.models import Role, User  # noqa: E402
from crm.identity.selectors import actor_for  # noqa: E402
from crm.identity.services.tenants import open_tenant  # noqa: E402
from crm.operations.models import Operation  # noqa: E402
from crm.tenancy.models import Tenant  # noqa: E402
from crm.tenancy.scope import tenant_scope  # noqa: E402
from leads.models import Arrival, Lead  # noqa: E402
from leads.services.forms import FormSettings, save_form  # noqa: E402
from leads.services.imports import start_import  # noqa: E402
from webhooks.enums import SourceKind  # noqa: E402
from webhooks.models import ArrivalJob  # noqa: E402
from webhooks.services.sources import SourceSettings, save_source  # noqa: E402

LIST_LENGTH = 100
# The share of arrivals that come one by one over the website's door; the rest come in lists.
ONE_BY_ONE = 0.1
SENDERS = 8


@dataclass
class Sent:
    """What the senders were told went well, and how often they had to send again."""

    single: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Product:
    """The product's processes, each in a session of its own so that kill -9 reaches all of it."""

    def __init__(self, port: int) -> None:
        worker = [
            sys.executable,
            "-c",
            CELERY,
            "--app",
            "crm",
            "--quiet",
            "worker",
            "--loglevel",
            "ERROR",
            "--without-gossip",
            "--without-mingle",
        ]
        self._beat = tempfile.mkdtemp()
        self.commands = {
            "web": [
                sys.executable,
                "-m",
                "gunicorn",
                "crm.wsgi",
                "-k",
                "gthread",
                "--workers",
                "2",
                "--threads",
                "4",
                "-b",
                f"127.0.0.1:{port}",
                "--log-level",
                "critical",
                "--limit-request-line",
                "8190",
            ],
            "worker": [*worker, "--hostname", "main@faults", "--concurrency", "2", "--queues", "default,events"],
            "bulk": [*worker, "--hostname", "bulk@faults", "--concurrency", "1", "--queues", "bulk,operations"],
            "beat": [
                sys.executable,
                "-c",
                CELERY,
                "--app",
                "crm",
                "--quiet",
                "beat",
                "--loglevel",
                "ERROR",
                "--pidfile",
                "",
                "--schedule",
                f"{self._beat}/schedule",
            ],
        }
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        environment = {**os.environ, "RATE_LIMITS": "off", "LOG_LEVEL": "CRITICAL", "DATABASE_POOL": "1" if name == "web" else "0"}
        self.children[name] = subprocess.Popen(
            self.commands[name], env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.children[name].pid, signal.SIGKILL)
        self.children[name].wait()

    def keep_up(self) -> None:
        """Start anew what ended, as the operating system's service manager would."""
        for name, child in list(self.children.items()):
            if child.poll() is not None:
                self.start(name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=20, help="seconds between two kills")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of each of the two files that are imported meanwhile")
    options = parser.parse_args()
    _migrate()
    tenant, form_key, source_key, operations = _prepare(options.rows)
    port = _free_port()
    product, sent = Product(port), Sent()
    for name in product.commands:
        product.start(name)
    _wait_for(port)
    over = threading.Event()
    killer = threading.Thread(target=_kill_in_turn, args=(product, options.every, over))
    killer.start()
    started = time.monotonic()
    try:
        _send_all(port, form_key, source_key, options.arrivals, sent)
        print(
            f"  {len(sent.single) + len(sent.listed):,} arrivals accepted in {time.monotonic() - started:.0f} s; {sent.again:,} were sent again",
            flush=True,
        )
        _drain(tenant.pk, operations)
    finally:
        over.set()
        killer.join()
        for name in product.children:
            product.kill(name)
    print(f"  all read after {time.monotonic() - started:.0f} s", flush=True)
    return _verdict(tenant.pk, sent, operations)


def _migrate() -> None:
    environment = {**os.environ, "DATABASE_URL": os.environ["DATABASE_OWNER_URL"]}
    subprocess.run([sys.executable, "manage.py", "migrate", "--no-input", "-v", "0"], check=True, env=environment)


def _prepare(rows: int) -> tuple[Tenant, str, str, list[int]]:
    """A tenant of this run's own with a form, a webhook and two imports that have begun."""
    run = uuid.uuid4().hex[:8]
    tenant = open_tenant(name=f"faults-{run}")
    by = Actor.system(tenant_id=tenant.pk, door=Door.COMMAND)
    with tenant_scope(tenant.pk, by=by):
        user = User.objects.create(
            tenant=tenant, username=f"faults.{run}", email=f"faults@{run}.example", first_name="Faults", role=Role.objects.get(code="admin"), password="!"
        )  # fmt: skip
        form = save_form(form=None, wanted=FormSettings(name="faults", hourly_limit=10_000_000), by=by)
        source = save_source(
            kind=SourceKind.WEBHOOK,
            source=None,
            wanted=SourceSettings(name="faults", options={"id_path": "id", "hourly_limit": 1_000_000}),
            by=by,
        )
        form_key, source_key = form.key.key, source.key.key
    operations = []
    for number in range(2):
        with tempfile.NamedTemporaryFile("w+", suffix=".csv", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["Name", "Email", "Phone", "Company"])
            # Every tenth row is wrong and every eleventh repeats the one before it.
            for row in range(rows):
                person = row - 1 if row % 11 == 10 else row
                email = "not an address" if row % 10 == 9 else f"file{number}.{person}@{run}.example"
                writer.writerow([f"File{number} Person{person}", email, "", "Faults Inc"])
            file.flush()
            with Path(file.name).open("rb") as stored, tenant_scope(tenant.pk):
                operation = start_import(file=File(stored, name=f"file{number}.csv"), by=actor_for(user, door=Door.COMMAND))
        operations.append(operation.pk)
    return tenant, form_key, source_key, operations


# --- senders ---


def _send_all(port: int, form_key: str, source_key: str, arrivals: int, sent: Sent) -> None:
    singles = [f"one-{number}" for number in range(int(arrivals * ONE_BY_ONE))]
    rest = arrivals - len(singles)
    lists = [[f"many-{start + number}" for number in range(min(LIST_LENGTH, rest - start))] for start in range(0, rest, LIST_LENGTH)]
    jobs: Iterator[str | list[str]] = iter(_mixed(singles, lists))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            _deliver(port, job, form_key, source_key, sent)

    threads = [threading.Thread(target=work) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _mixed(singles: list[str], lists: list[list[str]]) -> list[str | list[str]]:
    jobs: list[str | list[str]] = [*singles, *lists]
    random.Random(1).shuffle(jobs)
    return jobs


def _deliver(port: int, job: str | list[str], form_key: str, source_key: str, sent: Sent) -> None:
    """Send until it is said that all went well, as a sender of sense does."""
    if isinstance(job, str):
        path, headers = "/api/webhooks/website", {"X-Form-Key": form_key, "Idempotency-Key": job}
        body = {"answers": {"name": f"Web {job}", "email": f"{job}@web.example"}}
    else:
        path, headers = f"/api/webhooks/in/{source_key}", {}
        body = [{"id": name, "full_name": f"List {name}", "email": f"{name}@list.example"} for name in job]  # type: ignore[assignment]
    content = json.dumps(body).encode()
    while True:
        try:
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            caller.request("POST", path, content, {"Content-Type": "application/json", **headers})
            answer = caller.getresponse()
            answer.read()
            status = answer.status
            caller.close()
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            with sent.lock:
                sent.single.add(job) if isinstance(job, str) else sent.listed.update(job)
            return
        if 400 <= status < 500 and status not in (408, 429):
            raise SystemExit(f"The product refused a good arrival with {status}.")
        with sent.lock:
            sent.again += 1
        time.sleep(0.5)


# --- kills ---


def _kill_in_turn(product: Product, every: float, over: threading.Event) -> None:
    postgres = PostgresServer(base=Kind.BENCH.base, kind=Kind.BENCH)
    valkey = ValkeyServer(base=Kind.BENCH.base, kind=Kind.BENCH)
    postgres.locate()
    kills = itertools.cycle(["web", "worker", "postgres", "bulk", "valkey", "beat"])
    while not over.wait(every):
        victim = next(kills)
        print(f"  kill -9 {victim}", flush=True)
        if victim == "postgres":
            os.kill(int((postgres.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            time.sleep(1)
            postgres.start()
        elif victim == "valkey":
            for process in processes_in(valkey.folder):
                os.kill(process, signal.SIGKILL)
            time.sleep(1)
            valkey.start()
        else:
            product.kill(victim)
        product.keep_up()


def _drain(tenant_id: int, operations: list[int]) -> None:
    """Wait until no arrival waits and no operation runs, kills going on."""
    while True:
        time.sleep(2)
        try:
            with tenant_scope(tenant_id):
                waiting = ArrivalJob.objects.filter(tenant_id=tenant_id).count()
                running = Operation.objects.filter(pk__in=operations).exclude(state__in=["done", "failed", "cancelled"]).count()
        except DatabaseError:
            connection.close()
            continue
        if not waiting and not running:
            return


# --- the verdict ---


def _verdict(tenant_id: int, sent: Sent, operations: list[int]) -> int:
    problems = []
    with tenant_scope(tenant_id):
        arrivals = dict(Arrival.objects.values_list("source_lead_id", "lead_id"))
        failed = Arrival.objects.filter(processing_status="failed").count()
        names = {name.rsplit(":", 1)[-1]: lead_id for name, lead_id in arrivals.items()}
        lost = [name for name in (*sent.single, *sent.listed) if names.get(name) is None]
        leads = Lead.objects.filter(email__regex=r"@(web|list)\.example$").count()
        distinct = len({lead_id for lead_id in arrivals.values() if lead_id})
        print(f"  {len(arrivals):,} arrivals, {leads:,} leads of theirs, {failed:,} failed visibly, {len(lost):,} lost")
        if lost or failed:
            problems.append(f"lost or failed: {lost[:5]}")
        if not len(arrivals) == leads == distinct == len(sent.single) + len(sent.listed):
            problems.append(f"doubled: {len(arrivals)} arrivals, {leads} leads, {distinct} of them named")
        for pk in operations:
            operation = Operation.objects.get(pk=pk)
            made = Lead.objects.filter(operation_id=pk).count()
            print(
                f"  import {pk}: {operation.state}, {operation.done:,} rows = {operation.created:,} created + {operation.updated:,} updated"
                f" + {operation.skipped:,} skipped + {operation.failed:,} failed; {made:,} leads"
            )
            if operation.state != "done" or made != operation.created:
                problems.append(f"import {pk} does not add up")
    print("FAILED: " + "; ".join(problems) if problems else "passed: nothing lost, nothing doubled")
    return 1 if problems else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(main())
