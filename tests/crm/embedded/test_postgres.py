import os
import signal
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from crm.embedded import postgres
from crm.embedded.bootstrap import OWNER, RUNTIME
from crm.embedded.pgconfig import MIB, server_settings
from crm.embedded.postgres import SUPERUSER, PostgresServer, choose_home, database_url
from crm.embedded.state import Kind
from crm.embedded.system import OsUser, processes_in, wait_until_left

SOMEONE = OsUser(name="someone", uid=12345, gid=12345)


def test_database_url_quotes_what_a_password_may_hold():
    url = urlsplit(database_url(login="salesmagnet", password="p@ss/w:rd?#", port=5432, database="a b"))
    assert (url.username, unquote(url.password or ""), url.hostname, url.port, unquote(url.path)) == (
        "salesmagnet",
        "p@ss/w:rd?#",
        "127.0.0.1",
        5432,
        "/a b",
    )


def test_data_lies_in_the_checkout_for_an_ordinary_user(tmp_path):
    assert choose_home(base=tmp_path, user=None) == tmp_path / "postgres"


def test_data_lies_in_the_checkout_where_the_servers_user_gets_there(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "can_use", lambda *, user, path: True)
    assert choose_home(base=tmp_path, user=SOMEONE) == tmp_path / "postgres"


def test_data_lies_elsewhere_where_the_servers_user_cannot_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "can_use", lambda *, user, path: False)
    homes = {choose_home(base=base, user=SOMEONE, shared=Path("/shared")) for base in (tmp_path / "a", tmp_path / "b", tmp_path / "a")}
    assert len(homes) == 2
    assert {home.parent for home in homes} == {Path("/shared")}


@pytest.mark.parametrize(("memory", "buffers"), [(512 * MIB, "128MB"), (4096 * MIB, "1024MB"), (24_576 * MIB, "2048MB")])
def test_buffers_follow_memory_up_to_two_gigabytes(memory, buffers):
    assert server_settings(kind=Kind.DEV, port=5432, memory=memory)["shared_buffers"] == buffers


def test_only_test_data_may_be_lost():
    settings = {kind: server_settings(kind=kind, port=5432, memory=1024 * MIB) for kind in Kind}
    assert {kind: "fsync" in settings[kind] for kind in Kind} == {Kind.DEV: False, Kind.TEST: True, Kind.BENCH: False}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server of its own, in a folder with a space in its name."""
    server = PostgresServer(base=tmp_path_factory.mktemp("folder with a space"), kind=Kind.TEST)
    server.start()
    yield server
    server.remove()
    assert not server.home.exists()


def connect(server: PostgresServer, login: str) -> psycopg.Connection:
    return psycopg.connect(server.url(login=login), autocommit=True)


@pytest.mark.slow
def test_server_speaks_utf8_and_listens_on_loopback_only(server):
    with connect(server, SUPERUSER) as admin:
        answer = admin.execute(
            "SELECT current_setting('server_encoding'), current_setting('listen_addresses'), current_setting('unix_socket_directories'),"
            " lower('ÄÉЖ'), similarity('ÄÖÜ', 'äöü'), 'Ä'::citext = 'ä'::citext, unaccent('Köln')"
        ).fetchone()
    assert answer == ("UTF8", "127.0.0.1", "", "äéж", 1.0, True, "Koln")


@pytest.mark.slow
@pytest.mark.parametrize("login", [SUPERUSER, OWNER, RUNTIME])
def test_no_login_without_its_password(server, login):
    parts = urlsplit(server.url(login=login))
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=parts.port, user=login, password=password, dbname="salesmagnet")


@pytest.mark.slow
@pytest.mark.parametrize("login", [OWNER, RUNTIME])
def test_logins_hold_no_special_right(server, login):
    with connect(server, login) as connection:
        answer = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert answer == (False, False, False, False, False)


@pytest.fixture(scope="module")
def policed_table(server):
    """A table of the owner's with a row of tenant 1 and one of tenant 2."""
    with connect(server, OWNER) as owner:
        owner.execute("CREATE TABLE secrets (tenant_id bigint)")
        owner.execute("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY")
        owner.execute("CREATE POLICY wall ON secrets USING (tenant_id = current_setting('crm.tenant_id', true)::bigint)")
        owner.execute("INSERT INTO secrets VALUES (1), (2)")
    return "secrets"


@pytest.mark.slow
def test_runtime_login_sees_what_the_policy_lets_it_see(server, policed_table):
    with connect(server, RUNTIME) as runtime:
        assert runtime.execute("SELECT count(*) FROM secrets").fetchone() == (0,)
        runtime.execute("SET crm.tenant_id = '2'")
        assert runtime.execute("SELECT tenant_id FROM secrets").fetchall() == [(2,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "attempt",
    [
        "SET row_security = off; SELECT * FROM secrets",
        "ALTER TABLE secrets DISABLE ROW LEVEL SECURITY",
        "DROP POLICY wall ON secrets",
        "TRUNCATE secrets",
        "SET ROLE salesmagnet_owner",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "CREATE ROLE another",
        "ALTER ROLE salesmagnet BYPASSRLS",
        "GRANT salesmagnet_owner TO salesmagnet",
        "CREATE TABLE of_my_own (id int)",
        "CREATE DATABASE another",
        "CREATE EXTENSION pg_stat_statements",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_runtime_login_cannot_get_round_the_policy(server, policed_table, attempt):
    with connect(server, RUNTIME) as runtime, pytest.raises(psycopg.errors.InsufficientPrivilege):
        runtime.execute(attempt)


@pytest.mark.slow
def test_server_comes_back_after_it_was_killed(server):
    with connect(server, OWNER) as owner:
        owner.execute("SET synchronous_commit = on")
        owner.execute("CREATE TABLE kept (id int)")
        owner.execute("INSERT INTO kept VALUES (7)")
    lock = server.data / "postmaster.pid"
    os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
    server.start()
    with connect(server, RUNTIME) as runtime:
        assert runtime.execute("SELECT id FROM kept").fetchall() == [(7,)]


@pytest.mark.slow
def test_server_starts_over_a_lock_with_somebody_elses_process_number(server):
    server.stop()
    lock = server.data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{server.data}\n")
    assert not server.is_running()
    server.start()
    assert server.is_running()


@pytest.mark.slow
def test_stop_leaves_no_process_and_no_folder_was_opened(server):
    base = server.base
    before = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in (base, *base.parents)}
    server.stop()
    assert wait_until_left(server.data, user=server._user, seconds=1)
    assert processes_in(server.data, user=server._user) == []
    server.start()
    assert {folder: stat.S_IMODE(folder.stat().st_mode) for folder in (base, *base.parents)} == before
    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
