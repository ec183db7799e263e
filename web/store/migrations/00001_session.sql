-- +goose Up

-- A log-in. Only a hash of its token is kept. All of it is in memory, too: this is for the next start.
CREATE TABLE session (
    hash  BLOB PRIMARY KEY,
    email TEXT NOT NULL,
    way   TEXT NOT NULL, -- how it was begun: demo, oidc, embed, popup
    sub   TEXT NOT NULL, -- the provider's own name of the person, and
    sid   TEXT NOT NULL, -- of its session, for back-channel log-out; empty without one
    began TEXT NOT NULL,
    used  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
