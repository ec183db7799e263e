-- +goose Up

-- What links are signed with. A key stays for as long as a link of its own lives.
CREATE TABLE link_key (
    number INTEGER PRIMARY KEY,
    secret BLOB NOT NULL,
    made   TEXT NOT NULL
) STRICT;

-- A one-click link: it pauses, and nothing else. One that was revoked or is over isn't here any more; the log knows of it.
CREATE TABLE link (
    id      TEXT PRIMARY KEY,
    key     INTEGER NOT NULL REFERENCES link_key (number),
    agent   TEXT NOT NULL,
    purpose TEXT NOT NULL,
    made    TEXT NOT NULL,
    expires TEXT NOT NULL,
    used    TEXT NOT NULL, -- when last; empty before the first time
    uses    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
