import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crm.embedded import __main__ as commands
from crm.embedded.servers import ServersInUse
from crm.embedded.state import Kind


@pytest.fixture
def used(monkeypatch) -> Iterator[list[Kind]]:
    """The servers a command used, noted instead of started."""
    kinds: list[Kind] = []

    @contextmanager
    def servers(*, kind: Kind) -> Iterator[dict[str, str]]:
        kinds.append(kind)
        yield {"DATABASE_URL": "postgres://it's/here"}

    monkeypatch.setattr(commands, "running_servers", servers)
    monkeypatch.setattr(commands, "_read_env_file", lambda: None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield kinds
    for number, handler in handlers.items():
        signal.signal(number, handler)


def shell(script: str) -> list[str]:
    return ["exec", "--", "/bin/sh", "-c", script]


def test_exec_hands_over_the_environment_and_the_exit_code(used):
    assert commands.main(shell('[ "$DATABASE_URL" = "postgres://it\'s/here" ] && exit 7')) == 7
    assert used == [Kind.DEV]


def test_exec_on_other_servers(used):
    assert commands.main(["--kind", "test", *shell("exit 0")]) == 0
    assert used == [Kind.TEST]


def test_a_killed_command_counts_as_a_shell_counts(used):
    assert commands.main(shell("kill -KILL $$")) == 128 + signal.SIGKILL


def test_an_unknown_command_is_told(used, capsys):
    assert commands.main(["exec", "no-such-command"]) == 127
    assert "no-such-command" in capsys.readouterr().err


@pytest.mark.parametrize(("action", "kind", "module"), [("test", Kind.TEST, "pytest"), ("bench", Kind.BENCH, "bench")])
def test_tests_and_benchmarks_have_servers_of_their_own(used, monkeypatch, action, kind, module):
    started = []
    monkeypatch.setattr(commands, "run_with_servers", lambda *, kind, command: started.append((kind, command)) or 0)
    assert commands.main([action, "--", "--some", "argument"]) == 0
    assert started == [(kind, [sys.executable, "-m", module, "--some", "argument"])]


def test_env_is_fit_for_a_shell(used, capsys):
    assert commands.main(["env"]) == 0
    assert capsys.readouterr().out == "export DATABASE_URL='postgres://it'\"'\"'s/here'\n"


def test_a_refusal_is_one_sentence(used, monkeypatch, capsys):
    def refuse(*, kind: Kind) -> None:
        raise ServersInUse("Still in use.")

    monkeypatch.setattr(commands, "remove_servers", refuse)
    assert commands.main(["clean"]) == 1
    assert capsys.readouterr().err == "Still in use.\n"


def test_a_given_database_is_never_reset(used, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", "postgres://app@db/crm")
    assert commands.main(["reset-demo"]) == 1
    assert "DATABASE_URL" in capsys.readouterr().err
    assert used == []


@pytest.mark.slow
def test_a_request_to_end_reaches_the_command(used, tmp_path):
    up = tmp_path / "up"

    def end() -> None:
        while not up.exists():
            pass
        # The command may run before whoever started it has come back from starting it.
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    with pytest.raises(SystemExit) as left:
        commands.main(shell(f"trap 'touch {tmp_path}/asked; exit 0' TERM; touch {up}; while :; do sleep 0.02; done"))
    assert left.value.code == 143
    assert (tmp_path / "asked").exists()
