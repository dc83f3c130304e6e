-- How a household is found by its name without the name being stored: see services/projections/search.py.

CREATE TABLE commons.search_token (
    owner text NOT NULL, -- the household
    part text NOT NULL,  -- which of its names: name, member:<id>, proxy:<id>
    token text NOT NULL, -- a blind index of how a word of it begins
    PRIMARY KEY (owner, part, token)
);

CREATE INDEX search_token_found ON commons.search_token (token, owner);

COMMENT ON TABLE commons.search_token IS 'Blind indexes of names; gone once a household''s key is destroyed.';

CREATE TABLE commons.search_position (
    stream text PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 0), -- of the last event whose names are in the index
    version integer NOT NULL                        -- of the code that made the tokens; with another it begins anew
);
