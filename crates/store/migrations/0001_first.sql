-- The first schema. Times are milliseconds since the epoch. Written so that PostgreSQL takes it with few changes.

CREATE TABLE devices (
    id               TEXT    NOT NULL PRIMARY KEY,
    name             TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('active', 'pending', 'quarantined', 'revoked')),
    status_reason    TEXT    NOT NULL DEFAULT '',
    agent_version    TEXT    NOT NULL DEFAULT '',
    platform_name    TEXT    NOT NULL DEFAULT '',
    platform_version TEXT    NOT NULL DEFAULT '',
    hostname         TEXT    NOT NULL DEFAULT '',
    ip               TEXT    NOT NULL DEFAULT '',
    activation_id    TEXT    NOT NULL,
    iam_role         TEXT    NOT NULL DEFAULT '',
    registered_at    BIGINT  NOT NULL,
    last_ping        BIGINT  NOT NULL
);

-- A key is a device's identity, once and for ever: the row of a revoked key stays, so that it is never enrolled again.
CREATE TABLE device_keys (
    fingerprint TEXT   NOT NULL PRIMARY KEY,
    spki        BLOB   NOT NULL UNIQUE,
    device_id   TEXT   NOT NULL,
    status      TEXT   NOT NULL CHECK (status IN ('active', 'retired', 'revoked')),
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    reason      TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX device_keys_by_device ON device_keys (device_id);

-- Tags of anything: kind is 'device' or 'principal'.
CREATE TABLE tags (
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, id, key)
);
CREATE INDEX tags_by_value ON tags (kind, key, value);

CREATE TABLE activations (
    id                TEXT    NOT NULL PRIMARY KEY,
    code_hash         BLOB    NOT NULL,
    description       TEXT    NOT NULL DEFAULT '',
    default_name      TEXT    NOT NULL DEFAULT '',
    iam_role          TEXT    NOT NULL,
    tags              TEXT    NOT NULL,
    uses_allowed      BIGINT  NOT NULL,
    uses              BIGINT  NOT NULL DEFAULT 0,
    require_approval  BOOLEAN NOT NULL,
    source_cidr       TEXT    NOT NULL DEFAULT '',
    created_by        TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL,
    expires_at        BIGINT  NOT NULL
);

CREATE TABLE principals (
    name       TEXT   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE access_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    principal  TEXT   NOT NULL REFERENCES principals (name) ON DELETE CASCADE,
    sealed     BLOB   NOT NULL,
    status     TEXT   NOT NULL CHECK (status IN ('Active', 'Inactive')),
    created_at BIGINT NOT NULL,
    last_used  BIGINT
);
CREATE INDEX access_keys_by_principal ON access_keys (principal);

CREATE TABLE principal_policies (
    principal  TEXT   NOT NULL REFERENCES principals (name) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (principal, name)
);

CREATE TABLE sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    device_id      TEXT   NOT NULL,
    principal_arn  TEXT   NOT NULL,
    principal_name TEXT   NOT NULL,
    document       TEXT   NOT NULL,
    reason         TEXT   NOT NULL DEFAULT '',
    run_as         TEXT   NOT NULL DEFAULT '',
    source_ip      TEXT   NOT NULL DEFAULT '',
    status         TEXT   NOT NULL CHECK (status IN ('Connecting', 'Connected', 'Disconnected', 'Terminating', 'Terminated', 'Failed')),
    details        TEXT   NOT NULL DEFAULT '',
    idle_ms        BIGINT NOT NULL,
    max_ms         BIGINT,
    started_at     BIGINT NOT NULL,
    ended_at       BIGINT,
    resume_state   BLOB
);
CREATE INDEX sessions_by_start ON sessions (started_at);
CREATE INDEX sessions_alive ON sessions (device_id) WHERE ended_at IS NULL;

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        BIGINT NOT NULL,
    principal TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    outcome   TEXT   NOT NULL,
    line      TEXT   NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);
