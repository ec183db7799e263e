-- +goose Up

-- What the recordings were found to show, computed from the log and the archive and good to be computed anew. Times are
-- RFC 3339 in UTC with a fixed width, and empty where there is none.

-- One going through a period.
CREATE TABLE evidence_run (
    id    TEXT PRIMARY KEY,
    cause TEXT NOT NULL, -- night, button, command
    by    TEXT NOT NULL,
    since TEXT NOT NULL, -- the period
    until TEXT NOT NULL,
    every INTEGER NOT NULL, -- recordings without a pause, too
    state TEXT NOT NULL, -- running, done, failed
    began TEXT NOT NULL,
    seen  TEXT NOT NULL, -- when it last showed life: one that doesn't was ended with its process
    ended TEXT NOT NULL,
    body  TEXT NOT NULL  -- what it found, in numbers, and why it failed
) STRICT;
CREATE INDEX evidence_run_began ON evidence_run (began);

-- A verdict on a pause, or another finding.
CREATE TABLE evidence_item (
    id        TEXT PRIMARY KEY,
    subject   TEXT NOT NULL, -- of a pause its attempt: all its items are written anew together
    kind      TEXT NOT NULL,
    platform  TEXT NOT NULL,
    agent     TEXT NOT NULL,
    at        TEXT NOT NULL,
    recording TEXT NOT NULL,
    verdict   TEXT NOT NULL,
    final     INTEGER NOT NULL, -- looking again would find the same
    run       TEXT NOT NULL,
    alerted   TEXT NOT NULL,
    deleted   TEXT NOT NULL, -- the recording
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX evidence_item_at ON evidence_item (at, id);
CREATE INDEX evidence_item_subject ON evidence_item (subject);
CREATE INDEX evidence_item_recording ON evidence_item (platform, recording);

-- A recording that was listened to.
CREATE TABLE evidence_tape (
    platform TEXT NOT NULL,
    name     TEXT NOT NULL,
    at       TEXT NOT NULL,
    body     TEXT NOT NULL,
    envelope BLOB NOT NULL, -- how loud it is, a byte for each part of it, one channel after the other
    PRIMARY KEY (platform, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_tape_at ON evidence_tape (at);
