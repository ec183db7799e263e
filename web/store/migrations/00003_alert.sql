-- +goose Up

-- A fault of the control that needs, or needed, a person. Times are RFC 3339 in UTC with a fixed width, and empty where there
-- is none yet.
CREATE TABLE alert (
    id        TEXT PRIMARY KEY,
    kind      TEXT NOT NULL,
    agent     TEXT NOT NULL,
    platform  TEXT NOT NULL,
    call      TEXT NOT NULL,
    attempt   TEXT NOT NULL,
    text      TEXT NOT NULL,
    raised    TEXT NOT NULL,
    repeated  INTEGER NOT NULL, -- how often it was told again
    next      TEXT NOT NULL,    -- when it is to be told again
    acked     TEXT NOT NULL,
    acked_by  TEXT NOT NULL,
    settled   TEXT NOT NULL,    -- the fault was over by itself
    told      INTEGER NOT NULL, -- messages made of it for the webhook: raised, each repeat, acknowledged, settled
    delivered INTEGER NOT NULL, -- the last of them that the webhook has taken, or that nobody was to get
    changed   TEXT NOT NULL
) STRICT;
CREATE INDEX alert_raised ON alert (raised, id);
CREATE INDEX alert_standing ON alert (raised) WHERE settled = '';
CREATE INDEX alert_changed ON alert (changed) WHERE delivered < told;
