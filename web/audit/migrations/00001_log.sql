-- +goose Up

-- One row a record, numbered from 1 without a gap. body is the canonical JSON; its bytes are what is hashed, and every
-- other column is computed from them, so that no query can tell another story than the log.
CREATE TABLE record (
    seq     INTEGER PRIMARY KEY,
    body    TEXT NOT NULL,
    time    TEXT GENERATED ALWAYS AS (json_extract(body, '$.time')) VIRTUAL,
    kind    TEXT GENERATED ALWAYS AS (json_extract(body, '$.kind')) VIRTUAL,
    agent   TEXT GENERATED ALWAYS AS (json_extract(body, '$.agent')) VIRTUAL,
    outcome TEXT GENERATED ALWAYS AS (json_extract(body, '$.outcome')) VIRTUAL,
    attempt TEXT GENERATED ALWAYS AS (json_extract(body, '$.attempt')) VIRTUAL
) STRICT;

-- Each serves one combination of a query's filters, newest first; seq breaks ties and is in every index anyway.
CREATE INDEX record_time ON record (time);
CREATE INDEX record_kind ON record (kind, time);
CREATE INDEX record_agent ON record (agent, time) WHERE agent IS NOT NULL;
CREATE INDEX record_outcome ON record (outcome, time) WHERE outcome IS NOT NULL;
CREATE INDEX record_agent_outcome ON record (agent, outcome, time) WHERE agent IS NOT NULL AND outcome IS NOT NULL;
CREATE INDEX record_attempt ON record (attempt, time) WHERE attempt IS NOT NULL;

-- Where the log ends: how many records were ever written, the hash of the last one, the hashes of the RFC 6962 tree's
-- complete subtrees, the transaction that wrote last, and how much of which spool has been merged.
CREATE TABLE head (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    size   INTEGER NOT NULL,
    last   BLOB NOT NULL,
    tree   BLOB NOT NULL,
    batch  TEXT NOT NULL,
    spool  TEXT NOT NULL,
    merged INTEGER NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, zeroblob(32), x'', '', '', 0);

-- Where the log begins: how many records retention has pruned, the tree at that size, and the signed note that says so.
CREATE TABLE start (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    tree BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT;
INSERT INTO start VALUES (1, 0, x'', '');

CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE signer (
    id  INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
) STRICT;

-- Attempts begun and not decided, so that a start needn't read the whole log.
CREATE TABLE open_attempt (
    attempt TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A slip of ours is stopped here; a hand that edits the file is found by verifying.
-- +goose StatementBegin
CREATE TRIGGER record_is_never_changed BEFORE UPDATE ON record BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER record_goes_by_retention_only BEFORE DELETE ON record
WHEN old.seq > (SELECT size FROM start) BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
-- +goose StatementEnd
