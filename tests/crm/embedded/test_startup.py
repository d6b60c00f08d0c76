import socket

import pytest

from crm.embedded import startup
from crm.embedded.product import DEMO_PASSWORD, Address, require_free_ports, welcome
from crm.embedded.startup import StartFailed, files_hash, prepare
from crm.embedded.state import State


@pytest.fixture
def done(monkeypatch, tmp_path) -> list[str]:
    """The steps a start takes, noted instead of taken."""
    steps: list[str] = []

    class Collecting:
        def wait(self) -> int:
            return 0

        def kill(self) -> None:
            steps.append("collectstatic killed")

    def collect(command: list[str], **_: object) -> Collecting:
        steps.append("collectstatic")
        return Collecting()

    monkeypatch.setattr(startup, "manage", lambda *arguments, environment: steps.append(arguments[0]))
    monkeypatch.setattr(startup.subprocess, "Popen", collect)
    monkeypatch.setattr(startup, "say", lambda text: None)
    (tmp_path / "staticfiles.json").touch()
    return steps


def start(tmp_path, *, embedded: bool = True, demo: str = "1") -> None:
    prepare(environment={"DEMO": demo, "STATIC_ROOT": str(tmp_path)}, state=State(path=tmp_path / "state.json"), embedded=embedded)


def test_first_start_does_everything(done, tmp_path):
    start(tmp_path)
    assert done == ["collectstatic", "migrate", "load_demo"]


def test_second_start_does_nothing(done, tmp_path):
    start(tmp_path)
    done.clear()
    start(tmp_path)
    assert done == []


def test_a_new_migration_is_applied(done, tmp_path, monkeypatch):
    start(tmp_path)
    done.clear()
    monkeypatch.setattr(startup, "schema_files", list)
    start(tmp_path)
    assert done == ["migrate"]


def test_a_given_database_is_migrated_at_every_start(done, tmp_path):
    start(tmp_path, embedded=False, demo="0")
    done.clear()
    start(tmp_path, embedded=False, demo="0")
    assert done == ["migrate"]


def test_a_step_that_fails_is_tried_again(done, tmp_path, monkeypatch):
    def fail(*arguments: str, environment: dict[str, str]) -> None:
        raise StartFailed

    with monkeypatch.context() as patch:
        patch.setattr(startup, "manage", fail)
        with pytest.raises(StartFailed):
            start(tmp_path)
    assert done == ["collectstatic", "collectstatic killed"]
    done.clear()
    start(tmp_path)
    assert done == ["collectstatic", "migrate", "load_demo"]


def test_files_hash_changes_with_names_and_contents(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "ROOT", tmp_path)
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("1")
    second.write_text("1")
    hashes = {files_hash([first]), files_hash([second]), files_hash([first, second])}
    first.write_text("2")
    assert len(hashes | {files_hash([first])}) == 4


def test_address_follows_the_environment():
    assert Address.of({}) == Address(host="127.0.0.1", port=3000, events_port=3001)
    assert Address.of({"HOST": "0.0.0.0", "PORT": "4000"}) == Address(host="0.0.0.0", port=4000, events_port=4001)
    assert Address.of({"PORT": "4000", "EVENTS_PORT": "5000"}).events_port == 5000


def test_a_taken_port_is_refused_with_advice():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartFailed, match=f"Port {port} cannot be used .*make run PORT={port + 100}"):
            require_free_ports(address=Address(port=port))


def test_welcome_names_every_demo_sign_in():
    text = welcome(port=3100, environment={"DEMO": "1"})
    assert "http://localhost:3100" in text
    assert DEMO_PASSWORD in text
    assert [text.count(f"{role}@") for role in ("admin", "manager", "rep", "rep2", "support")] == [3] * 5


def test_welcome_outside_the_demo_names_nobody():
    assert "@" not in welcome(port=3000, environment={"DEMO": "0"})
