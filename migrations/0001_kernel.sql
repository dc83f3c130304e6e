-- What every projection stands on: which versions of it exist, how far each has come, and what it could not fold.
-- Rows of the read models themselves live in a schema a generation (stock_on_hand_g3), made by the projection's own code.

CREATE SCHEMA IF NOT EXISTS commons; -- the table of applied migrations is in it already
CREATE SCHEMA read;

COMMENT ON SCHEMA commons IS 'The kernel''s own tables.';
COMMENT ON SCHEMA read IS 'One view a table of each live read model, for people and their tools.';

-- A generation is one build of a projection: a set of tables filled from the first event by one version of its code.
CREATE TABLE commons.generation (
    projection text NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired', 'dropped')), -- numbers are never used twice
    layout text NOT NULL,      -- the statements that made its tables; they change only with the version
    relations text[] NOT NULL, -- the names it shows in the schema `read`
    sums boolean NOT NULL,     -- whether it sums over aggregates, and so is incomplete while an event is parked
    stopped text,              -- why nothing is folded any more, in a sentence; null while all is well
    created_at timestamptz NOT NULL DEFAULT now(),
    live_at timestamptz,
    retired_at timestamptz,
    PRIMARY KEY (projection, generation)
);

CREATE UNIQUE INDEX generation_live ON commons.generation (projection) WHERE state = 'live';

-- The only position a projection has. It moves in the transaction that writes the rows, by compare-and-set.
CREATE TABLE commons.checkpoint (
    projection text NOT NULL,
    generation integer NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0), -- of the last event folded; 0 before the first
    epoch bigint NOT NULL DEFAULT 0,                -- raised whenever anyone but the runner changes the rows
    PRIMARY KEY (projection, generation, stream),
    FOREIGN KEY (projection, generation) REFERENCES commons.generation ON DELETE CASCADE
) WITH (fillfactor = 50); -- changed many times a second: leave room on the page for the next version of the row

-- Events that a projection could not fold, and those of the same aggregate that wait behind them.
CREATE TABLE commons.parked (
    projection text NOT NULL,
    generation integer NOT NULL,
    version integer NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL,
    subject text NOT NULL,
    event bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('parked', 'waiting', 'retried', 'skipped')),
    error text,                 -- what went wrong, with the exception's kind; null while waiting
    reason text,                -- the operator's, for skipping
    parked_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,     -- when it was retried with success, or skipped
    PRIMARY KEY (projection, generation, stream, sequence),
    FOREIGN KEY (projection, generation) REFERENCES commons.generation ON DELETE CASCADE
);

CREATE INDEX parked_open ON commons.parked (projection, generation, stream, subject, sequence)
    WHERE status IN ('parked', 'waiting');
