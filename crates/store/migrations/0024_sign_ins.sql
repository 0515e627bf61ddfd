-- Sign-ins of browsers. A cookie names a row; without the row it opens nothing, on any node.
-- The sign-in ends with the access key that made it.
CREATE TABLE sign_ins (
    id         TEXT   NOT NULL PRIMARY KEY,
    access_key TEXT   NOT NULL REFERENCES access_keys (id) ON DELETE CASCADE,
    source_ip  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_key ON sign_ins (access_key, created_at);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);
