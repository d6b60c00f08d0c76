"""Both servers together, shared by every command of a checkout: the first one in starts them, the last one out stops them."""

import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crm.embedded import bootstrap
from crm.embedded.postgres import STAMPS, SUPERUSER, PostgresServer
from crm.embedded.state import Kind, State, new_secret
from crm.embedded.valkey import ValkeyServer


class OwnServersNeeded(RuntimeError):
    """The surroundings name a database whose other logins are missing."""


def wants_embedded_postgres(*, kind: Kind, environ: Mapping[str, str]) -> bool:
    """Say whether to start PostgreSQL. Tests use a server given from outside only if its administrator login is given too.

    So a shell that points at a real database can run the tests without touching it.
    """
    if kind is Kind.TEST:
        return not all(environ.get(name) for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_ADMIN_URL"))
    if environ.get("DATABASE_URL") and not environ.get("DATABASE_OWNER_URL"):
        raise OwnServersNeeded("DATABASE_URL is set: set DATABASE_OWNER_URL too, the login that owns the tables and migrates them.")
    return not environ.get("DATABASE_URL")


def wants_embedded_valkey(*, kind: Kind, environ: Mapping[str, str]) -> bool:
    return not environ.get("REDIS_URL") or (kind is Kind.TEST and wants_embedded_postgres(kind=kind, environ=environ))


@contextmanager
def running_servers(*, kind: Kind, base: Path | None = None) -> Iterator[dict[str, str]]:
    """Hold both servers up and yield the environment that names them."""
    base = base or kind.base
    base.mkdir(parents=True, exist_ok=True)
    postgres = PostgresServer(base=base, kind=kind) if wants_embedded_postgres(kind=kind, environ=os.environ) else None
    valkey = ValkeyServer(base=base, kind=kind) if wants_embedded_valkey(kind=kind, environ=os.environ) else None
    with (base / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with (base / "start.lock").open("w") as starting:
                fcntl.flock(starting, fcntl.LOCK_EX)
                if valkey:
                    valkey.start()
                if postgres:
                    postgres.start()
            yield _environment(kind=kind, base=base, postgres=postgres, valkey=valkey)
        finally:
            # Turning the shared lock into the only one fails while another command still uses the servers.
            with uninterrupted():
                if take_alone(users.fileno()):
                    stop_servers(postgres=postgres, valkey=valkey)


def stop_servers(*, postgres: PostgresServer | None, valkey: ValkeyServer | None) -> None:
    if valkey:
        valkey.stop()
    if postgres:
        postgres.stop()


def take_alone(lock: int) -> bool:
    """Say whether no other command holds this lock; if so it is ours alone from here on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C pass, so that a stop that has begun comes to its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ServersInUse(RuntimeError):
    """Something still runs on the servers whose data is to go."""


def remove_servers(*, kind: Kind, base: Path | None = None) -> None:
    """Stop both servers and delete their data. Refused while another command uses them."""
    base = base or kind.base
    if not base.exists():
        return
    with (base / "users.lock").open("w") as users:
        if not take_alone(users.fileno()):
            raise ServersInUse("The servers are in use: stop what runs on them (`make run`, tests) and try again.")
        valkey = ValkeyServer(base=base, kind=kind)
        valkey.stop()
        shutil.rmtree(valkey.folder, ignore_errors=True)
        postgres = PostgresServer(base=base, kind=kind)
        postgres.remove()
        postgres.state.forget("postgres_home", "postgres_prepared", *STAMPS)


def _environment(*, kind: Kind, base: Path, postgres: PostgresServer | None, valkey: ValkeyServer | None) -> dict[str, str]:
    state = State(path=base / "state.json")
    environment = {
        "SECRET_KEY": os.environ.get("SECRET_KEY") or state.remember(key="secret_key", make=new_secret),
        "JWT_SECRET": os.environ.get("JWT_SECRET") or state.remember(key="jwt_secret", make=new_secret),
    }
    if postgres:
        # Only data of one's own gets demo tenants: a database given from outside is taken for a real one.
        environment["DEMO"] = os.environ.get("DEMO", "1")
        environment["DATABASE_URL"] = postgres.url(login=bootstrap.RUNTIME)
        environment["DATABASE_OWNER_URL"] = postgres.url(login=bootstrap.OWNER)
        if kind is not Kind.DEV:
            environment["DATABASE_ADMIN_URL"] = postgres.url(login=SUPERUSER, database="postgres")
    if valkey:
        environment["REDIS_URL"] = valkey.url
    return environment
