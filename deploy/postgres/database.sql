-- Make an empty database ready for SalesMagnet. Run it as a superuser, connected to that database, after the roles
-- salesmagnet_owner (owns everything, used by migrations only) and salesmagnet (what the product runs as) exist.
-- It can be run again at any time.

CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS citext;

ALTER SCHEMA public OWNER TO salesmagnet_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO salesmagnet;

ALTER DEFAULT PRIVILEGES FOR ROLE salesmagnet_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO salesmagnet;
ALTER DEFAULT PRIVILEGES FOR ROLE salesmagnet_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO salesmagnet;
ALTER DEFAULT PRIVILEGES FOR ROLE salesmagnet_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO salesmagnet;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO salesmagnet, salesmagnet_owner', current_database());
END
$$;
