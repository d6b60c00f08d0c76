"""The product's processes on one machine, and what `make run` tells you when they are up."""

import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

from crm.embedded.startup import StartFailed, say
from crm.embedded.state import ROOT
from crm.embedded.supervisor import Program, Supervisor

DEMO_ROLES = ("admin", "manager", "rep", "rep2", "support")
DEMO_TENANTS = ("fxcareers.example", "yamarkets.example", "nxgmarkets.example")
DEMO_PASSWORD = "magnet-demo"

# Celery's command, without its page of warning to whoever tries the product as root. In production it does not run as root.
CELERY = """
import warnings
from celery.__main__ import main
from celery.platforms import SecurityWarning
warnings.simplefilter("ignore", SecurityWarning)
main()
"""


def programs(*, host: str, port: int, var: Path) -> list[Program]:
    """Return what makes up the product: pages and API, live events, two workers and the clock.

    What answers people comes before what works behind them, also for the processor.
    """
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py")]
    events = ["--worker-class", "asgi", "--workers", "1", "--threads", "1", "--max-requests", "0", "--graceful-timeout", "2"]
    celery = [sys.executable, "-c", CELERY, "--app", "crm", "--quiet"]
    worker = [*celery, "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    beat = ["beat", "--loglevel", "WARNING", "--schedule", str(var / "beat" / "schedule"), "--pidfile", ""]
    return [
        Program(
            name="web",
            command=[*gunicorn, "--bind", f"{host}:{port}", "crm.wsgi:application"],
            environment={"PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"), "DATABASE_POOL": "1"},
        ),
        Program(name="events", command=[*gunicorn, *events, "--bind", f"{host}:{port + 1}", "crm.asgi:application"]),
        Program(name="worker", command=[*worker, "--hostname", "main@%h", "--concurrency", "2", "--queues", "default,events"], nice=5),
        Program(name="bulk", command=[*worker, "--hostname", "bulk@%h", "--concurrency", "1", "--queues", "bulk,operations"], nice=10),
        Program(name="beat", command=[*celery, *beat], nice=5),
    ]


def run_product(*, environment: dict[str, str], var: Path) -> int:
    """Run the product in the foreground until Ctrl-C and return the exit code."""
    host, port = address()
    (var / "beat").mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(programs=programs(host=host, port=port, var=var), environment=environment, folder=ROOT)
    return supervisor.run(ready=lambda: is_up(port=port), announce=lambda: say(welcome(port=port, environment=environment)))


def address() -> tuple[str, int]:
    """Return where to listen. Only this machine, unless HOST says otherwise: the demo's password is known to everyone."""
    return os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT") or 3000)


def require_free_ports() -> None:
    """Refuse to begin where another program has the port already; a server would find out half a minute later."""
    host, port = address()
    for wanted in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, wanted))
            except OSError as error:
                raise StartFailed(f"Port {wanted} cannot be used ({error.strerror}). Choose another: make run PORT={port + 100}") from None


def is_up(*, port: int) -> bool:
    """Say whether both servers answer."""
    try:
        with socket.create_connection(("127.0.0.1", port + 1), timeout=2):
            pass
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:  # noqa: S310 -- our own server
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def welcome(*, port: int, environment: dict[str, str]) -> str:
    lines = ["", f"SalesMagnet is up: http://localhost:{port}", ""]
    if environment.get("DEMO", os.environ.get("DEMO")) == "1":
        lines += [f"Sign in with the password {DEMO_PASSWORD} as one of"]
        lines += ["   " + "  ".join(f"{role}@{tenant}" for role in DEMO_ROLES) for tenant in DEMO_TENANTS]
        lines += [""]
    return "\n".join([*lines, "Ctrl-C stops everything.", ""])
