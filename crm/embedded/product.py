"""The product's processes on one machine, and what `make run` tells you when they are up."""

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crm.embedded.startup import StartFailed, say
from crm.embedded.state import ROOT
from crm.embedded.supervisor import Program, Supervisor

DEMO_ROLES = ("admin", "manager", "rep", "rep2", "support")
DEMO_TENANTS = ("fxcareers.example", "yamarkets.example", "nxgmarkets.example")
DEMO_PASSWORD = "magnet-demo"  # noqa: S105 -- printed for everyone to read

# Celery's command, without its page of warning to whoever tries the product as root. In production it does not run as root.
CELERY = """
import warnings
from celery.__main__ import main
from celery.platforms import SecurityWarning
warnings.simplefilter("ignore", SecurityWarning)
main()
"""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to listen. Only this machine, unless HOST says otherwise: the demo's password is known to everyone."""

    host: str = "127.0.0.1"
    port: int = 3000
    events_port: int = 3001

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Address":
        port = int(environ.get("PORT") or cls.port)
        return cls(host=environ.get("HOST") or cls.host, port=port, events_port=int(environ.get("EVENTS_PORT") or port + 1))


def programs(*, address: Address, var: Path) -> list[Program]:
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
            command=[*gunicorn, "--bind", f"{address.host}:{address.port}", "crm.wsgi:application"],
            environment={"PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"), "DATABASE_POOL": "1"},
        ),
        Program(name="events", command=[*gunicorn, *events, "--bind", f"{address.host}:{address.events_port}", "crm.asgi:application"]),
        Program(name="worker", command=[*worker, "--hostname", "main@%h", "--concurrency", "2", "--queues", "default,events"], nice=5),
        Program(name="bulk", command=[*worker, "--hostname", "bulk@%h", "--concurrency", "1", "--queues", "bulk,operations"], nice=10),
        Program(name="beat", command=[*celery, *beat], nice=5),
    ]


def run_product(*, environment: dict[str, str], var: Path) -> int:
    """Run the product in the foreground until Ctrl-C and return the exit code."""
    address = Address.of(os.environ)
    (var / "beat").mkdir(parents=True, exist_ok=True)
    # Without a proxy in front, browsers fetch live events from their own port.
    events_url = os.environ.get("EVENTS_URL") or f"http://localhost:{address.events_port}"
    environment = {**environment, "EVENTS_URL": events_url}
    supervisor = Supervisor(programs=programs(address=address, var=var), environment=environment, folder=ROOT)
    return supervisor.run(ready=lambda: is_up(address=address), announce=lambda: say(welcome(port=address.port, environment=environment)))


def require_free_ports(*, address: Address) -> None:
    """Refuse to begin where another program has the port already; a server would find out half a minute later."""
    for wanted in (address.port, address.events_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.host, wanted))
            except OSError as error:
                advice = f"Choose another: make run PORT={address.port + 100}"
                raise StartFailed(f"Port {wanted} cannot be used ({error.strerror}). {advice}") from None


def is_up(*, address: Address) -> bool:
    """Say whether both servers answer. A refusal of our name (ALLOWED_HOSTS) is an answer too."""
    host = "127.0.0.1" if address.host == "0.0.0.0" else address.host  # noqa: S104 -- compared, not bound
    try:
        with socket.create_connection((host, address.events_port), timeout=2):
            pass
        with urllib.request.urlopen(f"http://{host}:{address.port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code == 400
    except OSError:
        return False


def welcome(*, port: int, environment: dict[str, str]) -> str:
    lines = ["", f"SalesMagnet is up: http://localhost:{port}", ""]
    if environment.get("DEMO", os.environ.get("DEMO")) == "1":
        lines += [f"Sign in with the password {DEMO_PASSWORD} as one of"]
        lines += ["   " + "  ".join(f"{role}@{tenant}" for role in DEMO_ROLES) for tenant in DEMO_TENANTS]
        lines += [""]
    return "\n".join([*lines, "Ctrl-C stops everything.", ""])
