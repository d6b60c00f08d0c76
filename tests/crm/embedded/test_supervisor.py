import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from crm.embedded.product import Address, programs
from crm.embedded.supervisor import Program, Supervisor

pytestmark = pytest.mark.slow

# Writes when it is up and when it is asked to stop.
OBEDIENT = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.02; done"


def shell(name: str, script: str) -> Program:
    return Program(name=name, command=["/bin/sh", "-c", script])


def supervisor(tmp_path, *programs: Program, patience: float = 5) -> Supervisor:
    return Supervisor(programs=list(programs), environment={}, folder=tmp_path, out=io.BytesIO(), patience=patience)


def lines(supervisor: Supervisor) -> list[str]:
    assert isinstance(supervisor.out, io.BytesIO)
    return supervisor.out.getvalue().decode().splitlines()


def wait_for(supervisor: Supervisor, *, name: str, text: str) -> None:
    while not any(line.startswith(name) and line.endswith(text) for line in lines(supervisor)):
        time.sleep(0.01)


def is_running(process: int) -> bool:
    try:
        state = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def wait_for_end(process: int) -> None:
    """A signal is sent at once and obeyed when the process gets its turn, which on a busy machine is later."""
    end = time.monotonic() + 30
    while is_running(process):
        assert time.monotonic() < end, f"{process} is still there."
        time.sleep(0.01)


def send_when_up(supervisor: Supervisor, number: int, *names: str) -> None:
    def send() -> None:
        for name in names:
            wait_for(supervisor, name=name, text="up")
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_stops_all(tmp_path, number, code):
    running = supervisor(tmp_path, shell("web", OBEDIENT), shell("beat", OBEDIENT))
    send_when_up(running, number, "web", "beat")
    assert running.run() == code
    assert sum(line.endswith("asked") for line in lines(running)) == 2


def test_one_that_ends_ends_the_rest(tmp_path):
    running = supervisor(tmp_path, shell("web", OBEDIENT), shell("beat", "sleep 0.3; exit 3"))
    assert running.run() == 3
    assert "web  | asked" in lines(running)
    assert "beat ended with 3, stopping the rest." in lines(running)


def test_an_early_end_without_error_is_an_error_all_the_same(tmp_path):
    assert supervisor(tmp_path, shell("web", "true")).run() == 1


def test_the_last_started_is_asked_first(tmp_path):
    note = "trap 'echo \"$0\" >>order; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    slow = "trap 'sleep 0.3; echo web >>order; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    beat = Program(name="beat", command=["/bin/sh", "-c", note, "beat"])
    running = supervisor(tmp_path, shell("web", slow), beat)
    send_when_up(running, signal.SIGTERM, "web", "beat")
    running.run()
    assert (tmp_path / "order").read_text().split() == ["beat", "web"]


def test_one_that_does_not_listen_is_killed_with_its_children(tmp_path):
    running = supervisor(tmp_path, shell("web", f"sleep 300 & echo $! >child; {STUBBORN}"), patience=0.5)
    send_when_up(running, signal.SIGTERM, "web")
    running.run()
    assert "web did not stop in time and is killed." in lines(running)
    wait_for_end(int((tmp_path / "child").read_text()))


def test_readiness_is_announced_once(tmp_path):
    answers = iter([False, True, True, True])
    announced = []
    running = supervisor(tmp_path, shell("web", "sleep 1.2"))
    running.run(ready=lambda: next(answers), announce=lambda: announced.append("up"))
    assert announced == ["up"]


def test_the_product_is_five_programs(tmp_path):
    product = programs(address=Address(), var=tmp_path)
    assert [program.name for program in product] == ["web", "events", "worker", "bulk", "beat"]
    assert {program.command[0] for program in product} == {sys.executable}
    queues = {program.name: program.command[program.command.index("--queues") + 1] for program in product if "--queues" in program.command}
    assert queues == {"worker": "default,events", "bulk": "bulk,operations"}
