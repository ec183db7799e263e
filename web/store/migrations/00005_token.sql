-- +goose Up

-- A token that is good once and was used. Its hash is kept for as long as the token would be good.
CREATE TABLE used_token (
    hash  BLOB PRIMARY KEY,
    until INTEGER NOT NULL -- Unix time
) STRICT, WITHOUT ROWID;
CREATE INDEX used_token_until ON used_token (until);
