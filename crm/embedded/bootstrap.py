"""What a fresh PostgreSQL needs before migrations can run: two logins without any way round row-level security, and a database."""

import psycopg
from psycopg import sql

from crm.embedded.state import ROOT

DATABASE = "salesmagnet"
OWNER = "salesmagnet_owner"
RUNTIME = "salesmagnet"
DATABASE_SQL = ROOT / "deploy" / "postgres" / "database.sql"


def prepare_server(*, admin_url: str, owner_password: str, runtime_password: str) -> None:
    """Create or correct the two logins and the database. Running it again changes nothing."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        _put_login(connection, name=OWNER, password=owner_password)
        _put_login(connection, name=RUNTIME, password=runtime_password)
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            create_database(connection, name=DATABASE)


def _put_login(connection: psycopg.Connection, *, name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    statement = sql.SQL("{verb} ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {password}")
    connection.execute(
        statement.format(verb=sql.SQL("ALTER" if known else "CREATE"), name=sql.Identifier(name), password=sql.Literal(password))
    )


def create_database(connection: psycopg.Connection, *, name: str) -> None:
    """Create a database that belongs to the owner. It still needs `prepare_database`."""
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(name), sql.Identifier(OWNER)))


def prepare_database(*, admin_url: str) -> None:
    """Give the database its extensions and its default privileges."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(DATABASE_SQL.read_bytes())
