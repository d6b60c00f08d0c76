"""Commands on this checkout's own PostgreSQL and Valkey."""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from crm.embedded.pgconfig import EmbeddedServersMissing
from crm.embedded.postgres import PostgresFailed
from crm.embedded.product import Address, require_free_ports, run_product
from crm.embedded.servers import (
    OwnServersNeeded,
    ServersInUse,
    remove_servers,
    running_servers,
)
from crm.embedded.startup import StartFailed, prepare
from crm.embedded.state import ROOT, Kind, State
from crm.embedded.system import ServerUserMissing
from crm.embedded.valkey import ValkeyFailed

ACTIONS = {
    "run": "start everything and stay in the foreground",
    "test": "run pytest with the arguments after --",
    "exec": "run the command after -- with both servers up",
    "env": "print the environment that names the servers, for a shell's eval (keep them up by `run` or `exec` meanwhile)",
    "bench": "run the benchmarks with the arguments after --",
    "reset-demo": "throw the demo data away and load it anew",
    "clean": "delete the servers of tests and benchmarks",
}
REFUSALS = (
    EmbeddedServersMissing,
    OwnServersNeeded,
    PostgresFailed,
    ServersInUse,
    ServerUserMissing,
    StartFailed,
    ValkeyFailed,
)


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    if options.action != "test":
        _read_env_file()
    try:
        return _act(action=options.action, kind=Kind(options.kind), command=command)
    except REFUSALS as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _act(*, action: str, kind: Kind, command: list[str]) -> int:
    if action == "run":
        return run()
    if action == "reset-demo":
        return reset_demo()
    if action == "clean":
        return clean()
    if action == "env":
        return print_environment(kind=kind)
    commands = {
        "exec": (kind, command),
        "test": (Kind.TEST, [sys.executable, "-m", "pytest", *(command or ["-n", "auto"])]),
        "bench": (Kind.BENCH, [sys.executable, "-m", "bench", *command]),
    }
    servers, wanted = commands[action]
    return run_with_servers(kind=servers, command=wanted)


def run() -> int:
    require_free_ports(address=Address.of(os.environ))
    with running_servers(kind=Kind.DEV) as environment:
        prepare(environment=environment, state=_state(), embedded="DATABASE_URL" in environment)
        return run_product(environment=environment, var=Kind.DEV.base)


def reset_demo() -> int:
    """Make the data of `run` anew. A database given from outside is not ours to delete."""
    if os.environ.get("DATABASE_URL"):
        raise OwnServersNeeded("DATABASE_URL is set: only the embedded database can be thrown away by this command.")
    remove_servers(kind=Kind.DEV)
    for folder in ("media", "mail"):
        shutil.rmtree(Kind.DEV.base / folder, ignore_errors=True)
    with running_servers(kind=Kind.DEV) as environment:
        prepare(environment=environment, state=_state(), embedded=True)
    return 0


def clean() -> int:
    for kind in (Kind.TEST, Kind.BENCH):
        remove_servers(kind=kind)
        shutil.rmtree(kind.base, ignore_errors=True)
    return 0


def print_environment(*, kind: Kind) -> int:
    with running_servers(kind=kind) as environment:
        print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()), end="")
    return 0


def run_with_servers(*, kind: Kind, command: list[str]) -> int:
    """Run one command to its end with the servers up and return its exit code. Ctrl-C is the command's to answer."""
    if not command or shutil.which(command[0]) is None:
        print(f"There is no such command: {' '.join(command) or '(none given)'}", file=sys.stderr)
        return 127
    with running_servers(kind=kind) as environment, subprocess.Popen(command, env={**os.environ, **environment}) as child:
        while True:
            try:
                code = child.wait()
            except KeyboardInterrupt:
                continue
            except SystemExit:
                child.terminate()
                raise
            return code if code >= 0 else 128 - code


def _state() -> State:
    return State(path=Kind.DEV.base / "state.json")


def _read_env_file() -> None:
    """Take what the product's settings would take from `.env`: above all, which database."""
    if (ROOT / ".env").exists():
        from environ import Env

        Env.read_env(str(ROOT / ".env"))


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crm.embedded",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="actions:\n" + "\n".join(f"  {name:<12}{text}" for name, text in ACTIONS.items()),
    )
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], default=Kind.DEV.value, help="whose servers exec and env use")
    parser.add_argument("action", choices=list(ACTIONS), metavar="action")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
