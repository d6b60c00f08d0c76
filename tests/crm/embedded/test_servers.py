import fcntl

import pytest

from crm.embedded.servers import (
    OwnServersNeeded,
    ServersInUse,
    remove_servers,
    take_alone,
    wants_embedded_postgres,
    wants_embedded_valkey,
)
from crm.embedded.state import Kind
from crm.embedded.valkey import ValkeyServer, valkey_settings

REAL = {"DATABASE_URL": "postgres://app@db/crm", "DATABASE_OWNER_URL": "postgres://owner@db/crm", "REDIS_URL": "redis://broker/0"}


@pytest.mark.parametrize("kind", list(Kind))
def test_servers_are_embedded_by_default(kind):
    assert wants_embedded_postgres(kind=kind, environ={}) is True
    assert wants_embedded_valkey(kind=kind, environ={}) is True


@pytest.mark.parametrize("kind", [Kind.DEV, Kind.BENCH])
def test_given_servers_are_used(kind):
    assert wants_embedded_postgres(kind=kind, environ=REAL) is False
    assert wants_embedded_valkey(kind=kind, environ=REAL) is False


def test_a_given_database_needs_both_logins():
    with pytest.raises(OwnServersNeeded, match="DATABASE_OWNER_URL"):
        wants_embedded_postgres(kind=Kind.DEV, environ={"DATABASE_URL": "postgres://app@db/crm"})


def test_tests_leave_a_real_database_alone():
    assert wants_embedded_postgres(kind=Kind.TEST, environ=REAL) is True
    assert wants_embedded_valkey(kind=Kind.TEST, environ=REAL) is True
    assert wants_embedded_postgres(kind=Kind.TEST, environ={**REAL, "DATABASE_ADMIN_URL": "postgres://admin@db/postgres"}) is False


def test_only_the_last_user_is_alone(tmp_path):
    path = tmp_path / "users.lock"
    with path.open("w") as first, path.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        assert take_alone(first.fileno()) is False
        assert take_alone(second.fileno()) is True


def test_data_in_use_is_not_removed(tmp_path):
    with (tmp_path / "users.lock").open("w") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        with pytest.raises(ServersInUse):
            remove_servers(kind=Kind.TEST, base=tmp_path)


def test_queues_are_kept_in_the_everyday_set_up_only(tmp_path):
    kept = {kind: 'save ""' not in valkey_settings(kind=kind, port=1, folder=tmp_path, password="x") for kind in Kind}
    assert kept == {Kind.DEV: True, Kind.TEST: False, Kind.BENCH: False}


@pytest.mark.slow
def test_valkey_starts_again_after_it_was_stopped(tmp_path):
    server = ValkeyServer(base=tmp_path / "folder with a space", kind=Kind.TEST)
    for _ in range(2):
        server.start()
        assert server.is_running()
        server.stop()
        assert not server.is_running()
