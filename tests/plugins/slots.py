"""A number for this test process. It names the process's own database, Valkey database and folders."""

import fcntl
import os
from pathlib import Path

VAR = Path(__file__).resolve().parents[2] / "var" / "test"
# Valkey's database 0 is left to whoever looks in by hand.
SLOTS = range(1, 64)

_held: list[int] = []


class NoSlotLeft(RuntimeError):
    """More test processes than Valkey has databases."""


def claim_slot() -> int:
    """Take a number until this process ends. Children of a test share their parent's; parallel runs get others."""
    name = f"TEST_SLOT_{os.environ.get('PYTEST_XDIST_WORKER', 'main').upper()}"
    if name in os.environ:
        return int(os.environ[name])
    VAR.mkdir(parents=True, exist_ok=True)
    for slot in SLOTS:
        lock = os.open(VAR / f"slot-{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        _held.append(lock)
        os.environ[name] = str(slot)
        return slot
    raise NoSlotLeft("Too many test processes at once.")
