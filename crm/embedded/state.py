"""Where the servers of a checkout live, and the small things they must remember between two runs."""

import enum
import json
import os
import random
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel hands out ports to outgoing connections, so that a remembered port stays free.
PORTS = range(20_000, 32_000)


class Kind(enum.StrEnum):
    """What a pair of servers is for. Each has its own folder, so that tests and benchmarks never meet the data of `run`."""

    DEV = "dev"
    TEST = "test"
    BENCH = "bench"

    @property
    def base(self) -> Path:
        return VAR if self is Kind.DEV else VAR / self.value


class State:
    """A JSON file of strings that only its owner can read."""

    def __init__(self, *, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        try:
            return {str(key): str(value) for key, value in json.loads(self.path.read_text()).items()}
        except FileNotFoundError:
            return {}

    def get(self, *, key: str) -> str | None:
        return self.read().get(key)

    def put(self, *, key: str, value: str) -> None:
        """Write one value. The file is replaced whole, so that a kill leaves the old one or the new one."""
        self._write({**self.read(), key: value})

    def forget(self, *keys: str) -> None:
        """Drop values that are no longer true."""
        self._write({key: value for key, value in self.read().items() if key not in keys})

    def _write(self, values: dict[str, str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            json.dump(values, stream, indent=1, sort_keys=True)
        draft.replace(self.path)

    def remember(self, *, key: str, make: Callable[[], str]) -> str:
        """Return the stored value; make and store one the first time."""
        value = self.get(key=key)
        if value is None:
            value = make()
            self.put(key=key, value=value)
        return value


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_port(*, state: State, key: str) -> int:
    """Return the remembered port while nobody else has it, or another free one, which is then remembered."""
    remembered = state.get(key=key)
    if remembered is not None and port_is_free(int(remembered)):
        return int(remembered)
    port = next(candidate for candidate in random.SystemRandom().sample(PORTS, len(PORTS)) if port_is_free(candidate))
    state.put(key=key, value=str(port))
    return port
