-- Identity providers whose tokens are accepted, and the people and jobs that came with one.
CREATE TABLE identity_providers (
    name       TEXT   NOT NULL PRIMARY KEY,
    unique_id  TEXT   NOT NULL UNIQUE,
    issuer     TEXT   NOT NULL UNIQUE,
    settings   TEXT   NOT NULL,
    secret     BLOB,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- One row for each subject of a provider that was let in. Its id owns sessions. A blocked subject
-- keeps its row, so that it stays blocked.
CREATE TABLE federated_people (
    id          TEXT   NOT NULL PRIMARY KEY,
    provider_id TEXT   NOT NULL REFERENCES identity_providers (unique_id) ON DELETE CASCADE,
    subject     TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    blocked     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,
    UNIQUE (provider_id, subject)
);
CREATE INDEX federated_people_by_use ON federated_people (used_at);
