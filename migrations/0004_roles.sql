-- A role for each kind of process: who builds the common read models owns them, services only ask how far those have come.
--
-- Roles belong to the whole server and not to one database, so they may be there already. Without a password nobody can
-- log in as one: `commons migrate --passwords` sets them.

DO $$ BEGIN
    CREATE ROLE commons_projections LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    CREATE ROLE commons_service LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    CREATE ROLE commons_operator LOGIN; -- for whoever looks after all of it, the clinic's read models too
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT commons_projections, commons_clinic TO commons_operator;

DO $$ BEGIN
    -- Whoever applies the migrations goes on as before: `commons up` runs everything but the clinic under one login.
    IF current_user <> 'commons_projections' THEN
        EXECUTE format('GRANT commons_projections TO %I', current_user);
    END IF;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO commons_projections', current_database());
END $$;

GRANT USAGE ON SCHEMA commons TO commons_projections, commons_service;
GRANT SELECT ON commons.migration TO commons_projections, commons_service;
GRANT SELECT ON commons.checkpoint TO commons_service;
GRANT CREATE ON SCHEMA commons TO commons_projections; -- whoever is given a table must be able to make one there
ALTER TABLE commons.generation OWNER TO commons_projections;
ALTER TABLE commons.checkpoint OWNER TO commons_projections;
ALTER TABLE commons.parked OWNER TO commons_projections;
ALTER TABLE commons.search_token OWNER TO commons_projections;
ALTER TABLE commons.search_position OWNER TO commons_projections;
REVOKE CREATE ON SCHEMA commons FROM commons_projections;

ALTER SCHEMA read OWNER TO commons_projections;
ALTER DEFAULT PRIVILEGES FOR ROLE commons_projections IN SCHEMA read GRANT SELECT ON TABLES TO commons_reader;
