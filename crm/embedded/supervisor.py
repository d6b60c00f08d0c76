"""Runs the product's processes side by side: lines come out under one another, and where one ends all end.

Not honcho: it signals whole process groups, which kills a Celery worker's children in the middle of a task.
"""

import ctypes
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO

COLOURS = (36, 33, 32, 35, 34)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process to keep up."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    nice: int = 0


@dataclass(frozen=True, kw_only=True)
class Ended:
    name: str
    code: int


class Supervisor:
    """`run` starts every program, in order, and returns when all of them have stopped."""

    def __init__(
        self, *, programs: list[Program], environment: dict[str, str], folder: Path, out: BinaryIO | None = None, patience: float = 20
    ) -> None:
        self.programs = programs
        self.environment = environment
        self.folder = folder
        self.out = out or sys.stdout.buffer
        self.patience = patience
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._happened: queue.SimpleQueue[Ended | int] = queue.SimpleQueue()
        self._printing = threading.Lock()
        self._followers: list[threading.Thread] = []
        self._width = max(len(program.name) for program in programs)

    def run(self, *, ready: Callable[[], bool] = lambda: True, announce: Callable[[], None] = lambda: None) -> int:
        """Run until a signal comes or a program ends, then stop the rest. Return the exit code for the shell.

        `announce` is called once, as soon as `ready` says so.
        """
        previous = {number: signal.signal(number, self._note_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            # All processes first, then the threads that read them: forking is safe only while there are none.
            for program in self.programs:
                self._children[program.name] = self._start(program)
            for colour, (name, child) in zip(itertools.cycle(COLOURS), self._children.items(), strict=False):
                follower = threading.Thread(target=self._follow, args=(name, child, colour), daemon=True)
                follower.start()
                self._followers.append(follower)
            return self._watch(ready=ready, announce=announce)
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _watch(self, *, ready: Callable[[], bool], announce: Callable[[], None]) -> int:
        announced = False
        while True:
            try:
                happened = self._happened.get(timeout=60 if announced else 0.2)
            except queue.Empty:
                if not announced and ready():
                    announced = True
                    announce()
                continue
            if isinstance(happened, int):
                self._say(f"{signal.Signals(happened).name} received, stopping.")
                return 0 if happened == signal.SIGINT else 128 + happened
            self._say(f"{happened.name} ended with {happened.code}, stopping the rest.")
            return happened.code if happened.code > 0 else 1

    def _start(self, program: Program) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            program.command,
            cwd=self.folder,
            env={**os.environ, **self.environment, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches us alone and we stop each program by its leader, gently.
            start_new_session=True,
            preexec_fn=partial(_prepare_child, nice=program.nice),  # noqa: PLW1509 -- no thread runs yet
        )

    def _follow(self, name: str, child: subprocess.Popen[bytes], colour: int) -> None:
        if child.stdout is not None:
            with child.stdout:
                for line in child.stdout:
                    self._print(name=name, line=line, colour=colour)
        self._happened.put(Ended(name=name, code=child.wait()))

    def _stop(self) -> None:
        """Ask every program to stop, last started first; kill the groups of those that have not after a while."""
        waiting = list(reversed(self._children.items()))
        for _, child in waiting:
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + self.patience
        for name, child in waiting:
            try:
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{name} did not stop in time and is killed.")
            _kill_group(child.pid)
            child.wait()
        for follower in self._followers:
            follower.join(timeout=2)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._happened.put(number)

    def _say(self, text: str) -> None:
        self._print(name="", line=f"{text}\n".encode(), colour=0)

    def _print(self, *, name: str, line: bytes, colour: int) -> None:
        label = f"{name:{self._width}} | " if name else ""
        if label and self.out.isatty():
            label = f"\033[{colour}m{label}\033[0m"
        with self._printing:
            self.out.write(label.encode() + line)
            self.out.flush()


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _prepare_child(*, nice: int) -> None:
    """Step back in the queue for the processor, and ask the kernel to stop this process when the supervisor is killed outright."""
    os.nice(nice)
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
