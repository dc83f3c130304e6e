-- The clinic's read models sit apart: a role of their own owns them, and no other may read them.
--
-- Roles belong to the whole server and not to one database, so they may be there already.

DO $$ BEGIN
    CREATE ROLE commons_clinic LOGIN; -- without a password nobody can log in as it: `commons up` sets one
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    CREATE ROLE commons_reader NOLOGIN; -- for people and their tools: grant it to their logins
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

DO $$ BEGIN
    -- Who is no superuser, as on a managed PostgreSQL, may give a role only what it could be itself; the end takes that back.
    EXECUTE format('GRANT commons_clinic TO %I WITH INHERIT TRUE, SET TRUE', current_user);
END $$;

-- -- what is clinical -------------------------------------------------------------------------------------------------

CREATE SCHEMA clinic AUTHORIZATION commons_clinic;
COMMENT ON SCHEMA clinic IS 'One view a table of each read model of the clinic, and its search; for commons_clinic alone.';

DO $$ BEGIN -- each generation of a read model is a schema of its own
    EXECUTE format('GRANT CREATE ON DATABASE %I TO commons_clinic', current_database());
END $$;

-- How a patient is found without a name being stored: see services/projections/search.py.
CREATE TABLE clinic.search_token (
    owner text NOT NULL, -- the patient
    part text NOT NULL,  -- which of what is known of them: demographics
    token text NOT NULL, -- a blind index: how a word of a name begins, a birth date, an identifier
    PRIMARY KEY (owner, part, token)
);
CREATE INDEX search_token_found ON clinic.search_token (token, owner);
CREATE TABLE clinic.search_position (
    stream text PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    version integer NOT NULL
);
ALTER TABLE clinic.search_token OWNER TO commons_clinic;
ALTER TABLE clinic.search_position OWNER TO commons_clinic;

-- -- the kernel's own tables ------------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA commons TO commons_clinic, commons_reader;
GRANT SELECT ON commons.migration TO commons_clinic, commons_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON commons.generation, commons.checkpoint, commons.parked TO commons_clinic;
GRANT SELECT ON commons.generation, commons.checkpoint TO commons_reader;
-- That an event is parked is for everybody to know, what stands in it is not.
GRANT SELECT (projection, generation, version, stream, sequence, status, parked_at, settled_at) ON commons.parked
    TO commons_reader;

-- The clinic's role changes the rows of its own read models and no others. Who owns the tables is not bound by this.
ALTER TABLE commons.generation ENABLE ROW LEVEL SECURITY;
ALTER TABLE commons.checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE commons.parked ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_looks ON commons.generation FOR SELECT USING (true);
CREATE POLICY everybody_looks ON commons.checkpoint FOR SELECT USING (true);
CREATE POLICY readers_count ON commons.parked FOR SELECT TO commons_reader USING (true);
CREATE POLICY clinics_own ON commons.generation TO commons_clinic
    USING (projection LIKE 'clinic\_%') WITH CHECK (projection LIKE 'clinic\_%');
CREATE POLICY clinics_own ON commons.checkpoint TO commons_clinic
    USING (projection LIKE 'clinic\_%') WITH CHECK (projection LIKE 'clinic\_%');
CREATE POLICY clinics_own ON commons.parked TO commons_clinic
    USING (projection LIKE 'clinic\_%') WITH CHECK (projection LIKE 'clinic\_%');

-- -- everybody else's read models -------------------------------------------------------------------------------------

-- The views are made by the process of the read models, which runs as whoever applies the migrations.
GRANT USAGE ON SCHEMA read TO commons_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA read GRANT SELECT ON TABLES TO commons_reader;

DO $$ BEGIN -- whoever applies the migrations may become the clinic's role, for the next of them, and is not it
    EXECUTE format('GRANT commons_clinic TO %I WITH INHERIT FALSE, SET TRUE', current_user);
END $$;
