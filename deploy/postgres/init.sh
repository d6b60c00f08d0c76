#!/bin/sh
# Make the two logins and the database. The postgres image runs this once, on an empty volume; running it again corrects them.
# Needs POSTGRES_USER (a superuser), DATABASE_OWNER_PASSWORD and DATABASE_PASSWORD; DATABASE_SQL names database.sql.
set -eu

sql() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# The passwords travel in the environment: in arguments every process of the machine could read them.
sql --dbname postgres <<'SQL'
\getenv owner_password DATABASE_OWNER_PASSWORD
\getenv runtime_password DATABASE_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM (VALUES ('salesmagnet_owner'), ('salesmagnet')) AS wanted (name)
    WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE salesmagnet_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE salesmagnet LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'runtime_password';
SELECT 'CREATE DATABASE salesmagnet OWNER salesmagnet_owner TEMPLATE template0'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'salesmagnet') \gexec
SQL
sql --dbname salesmagnet --file "${DATABASE_SQL:-/salesmagnet/database.sql}"
