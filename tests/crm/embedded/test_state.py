import socket
import stat

from crm.embedded.state import LOOPBACK, PORTS, State, choose_port, port_is_free


def test_state_is_readable_by_its_owner_only(tmp_path):
    state = State(path=tmp_path / "new" / "state.json")
    state.put(key="password", value="x")
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o600


def test_remember_makes_a_value_once(tmp_path):
    state = State(path=tmp_path / "state.json")
    values = iter(["first", "second"])
    assert [state.remember(key="a", make=lambda: next(values)) for _ in range(2)] == ["first", "first"]


def test_forget_leaves_the_rest(tmp_path):
    state = State(path=tmp_path / "state.json")
    for key in ("a", "b", "c"):
        state.put(key=key, value=key)
    state.forget("a", "c", "never there")
    assert state.read() == {"b": "b"}


def test_choose_port_keeps_the_remembered_one(tmp_path):
    state = State(path=tmp_path / "state.json")
    chosen = choose_port(state=state, key="port")
    assert chosen in PORTS
    assert choose_port(state=state, key="port") == chosen


def test_choose_port_leaves_a_taken_one_alone(tmp_path):
    state = State(path=tmp_path / "state.json")
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        taken = other.getsockname()[1]
        state.put(key="port", value=str(taken))
        assert not port_is_free(taken)
        chosen = choose_port(state=state, key="port")
    assert chosen != taken
    assert state.get(key="port") == str(chosen)


def test_two_checkouts_get_two_ports(tmp_path):
    here, there = State(path=tmp_path / "a.json"), State(path=tmp_path / "b.json")
    with socket.socket() as server:
        server.bind((LOOPBACK, choose_port(state=here, key="port")))
        server.listen()
        assert choose_port(state=there, key="port") != int(here.read()["port"])
