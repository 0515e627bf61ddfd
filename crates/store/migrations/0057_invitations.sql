-- 1: the node may work; 0: it waits for an administrator; -1: it was removed.
ALTER TABLE nodes ADD COLUMN approved BIGINT NOT NULL DEFAULT 1;
-- Tokens by which a gateway joins, as SHA-256; times by the gateway that made them, in milliseconds.
CREATE TABLE invitations (
    digest  TEXT   NOT NULL PRIMARY KEY,
    ends_at BIGINT NOT NULL,
    ca_key  BIGINT NOT NULL,
    used_by TEXT   NOT NULL DEFAULT ''
);
