-- +goose Up

-- A log-in. Only a hash of its token is kept.
CREATE TABLE session (
    hash  BLOB PRIMARY KEY,
    email TEXT NOT NULL,
    way   TEXT NOT NULL, -- how it was begun: demo, oidc, embed, popup
    sid   TEXT NOT NULL, -- the provider's own name of the session, for back-channel log-out; empty without one
    began TEXT NOT NULL,
    used  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_email ON session (email, began);
CREATE INDEX session_sid ON session (sid) WHERE sid <> '';
