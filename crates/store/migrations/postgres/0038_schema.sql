-- The schema of the steps up to 38 of SQLite as PostgreSQL's first. A test compares both. Text sorts
-- by bytes; times are milliseconds since the epoch.

CREATE TABLE devices (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name             TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('active', 'pending', 'quarantined', 'revoked')),
    status_reason    TEXT COLLATE "C" NOT NULL DEFAULT '',
    agent_version    TEXT COLLATE "C" NOT NULL DEFAULT '',
    platform_name    TEXT COLLATE "C" NOT NULL DEFAULT '',
    platform_version TEXT COLLATE "C" NOT NULL DEFAULT '',
    hostname         TEXT COLLATE "C" NOT NULL DEFAULT '',
    ip               TEXT COLLATE "C" NOT NULL DEFAULT '',
    activation_id    TEXT COLLATE "C" NOT NULL,
    iam_role         TEXT COLLATE "C" NOT NULL DEFAULT '',
    registered_at    BIGINT NOT NULL,
    last_ping        BIGINT NOT NULL,
    target           TEXT COLLATE "C" NOT NULL DEFAULT '',
    next_pin         BIGINT NOT NULL DEFAULT 0,
    agent_kind       TEXT COLLATE "C" NOT NULL DEFAULT 'towline',
    platform_type    TEXT COLLATE "C" NOT NULL DEFAULT 'Linux',
    machine          TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX devices_by_machine ON devices (machine);
CREATE INDEX devices_by_name ON devices (name);
CREATE INDEX devices_by_hostname ON devices (hostname);

CREATE TABLE device_keys (
    fingerprint TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    spki        BYTEA NOT NULL UNIQUE,
    device_id   TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('active', 'retired', 'revoked')),
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    reason      TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX device_keys_by_device ON device_keys (device_id);

CREATE TABLE tags (
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    key_folded TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (kind, id, key)
);
CREATE INDEX tags_by_folded_value ON tags (kind, key_folded, value, id);
CREATE UNIQUE INDEX tags_by_folded_key ON tags (kind, id, key_folded);

CREATE TABLE activations (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    code_hash        BYTEA NOT NULL,
    description      TEXT COLLATE "C" NOT NULL DEFAULT '',
    default_name     TEXT COLLATE "C" NOT NULL DEFAULT '',
    iam_role         TEXT COLLATE "C" NOT NULL,
    tags             TEXT COLLATE "C" NOT NULL,
    uses_allowed     BIGINT NOT NULL,
    uses             BIGINT NOT NULL DEFAULT 0,
    require_approval BOOLEAN NOT NULL,
    source_cidr      TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_by       TEXT COLLATE "C" NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    device_tag_keys  TEXT COLLATE "C" NOT NULL DEFAULT '[]'
);

CREATE TABLE principals (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    unique_id  TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX principals_by_id ON principals (unique_id);

CREATE TABLE access_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    principal  TEXT COLLATE "C" NOT NULL
        REFERENCES principals (name) ON DELETE CASCADE,
    sealed     BYTEA NOT NULL,
    status     TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('Active', 'Inactive')),
    created_at BIGINT NOT NULL,
    last_used  BIGINT
);
CREATE INDEX access_keys_by_principal ON access_keys (principal);

CREATE TABLE principal_policies (
    principal  TEXT COLLATE "C" NOT NULL
        REFERENCES principals (name) ON DELETE CASCADE,
    name       TEXT COLLATE "C" NOT NULL,
    document   TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (principal, name)
);

CREATE TABLE sessions (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    device_id       TEXT COLLATE "C" NOT NULL,
    principal_arn   TEXT COLLATE "C" NOT NULL,
    principal_name  TEXT COLLATE "C" NOT NULL,
    document        TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL DEFAULT '',
    run_as          TEXT COLLATE "C" NOT NULL DEFAULT '',
    source_ip       TEXT COLLATE "C" NOT NULL DEFAULT '',
    status          TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('Connecting', 'Connected', 'Disconnected', 'Terminating', 'Terminated', 'Failed')),
    details         TEXT COLLATE "C" NOT NULL DEFAULT '',
    idle_ms         BIGINT NOT NULL,
    max_ms          BIGINT,
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    resume_state    BYTEA,
    access_type     TEXT COLLATE "C" NOT NULL DEFAULT 'Standard',
    session_type    TEXT COLLATE "C" NOT NULL DEFAULT '',
    output_url      TEXT COLLATE "C" NOT NULL DEFAULT '',
    commands        BIGINT,
    recording_bytes BIGINT,
    input_recorded  BOOLEAN NOT NULL DEFAULT FALSE,
    principal_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
    person_id       TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX sessions_by_start ON sessions (started_at);
CREATE INDEX sessions_alive ON sessions (device_id)
    WHERE ended_at IS NULL;
CREATE INDEX sessions_alive_by_person ON sessions (person_id)
    WHERE ended_at IS NULL;

CREATE TABLE settings (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE audit (
    id        BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at        BIGINT NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL,
    outcome   TEXT COLLATE "C" NOT NULL,
    line      TEXT COLLATE "C" NOT NULL,
    stranger  BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX audit_by_kind ON audit (stranger, id);
CREATE INDEX audit_in_order ON audit (at, id);

CREATE TABLE roles (
    principal   TEXT COLLATE "C" NOT NULL PRIMARY KEY
        REFERENCES principals (name) ON DELETE CASCADE,
    unique_id   TEXT COLLATE "C" NOT NULL,
    trust       TEXT COLLATE "C" NOT NULL,
    max_seconds BIGINT NOT NULL
);

CREATE TABLE group_members (
    group_name TEXT COLLATE "C" NOT NULL
        REFERENCES principals (name) ON DELETE CASCADE,
    member     TEXT COLLATE "C" NOT NULL
        REFERENCES principals (name) ON DELETE CASCADE,
    PRIMARY KEY (group_name, member)
);
CREATE INDEX group_members_by_member ON group_members (member);

CREATE TABLE boundaries (
    principal TEXT COLLATE "C" NOT NULL PRIMARY KEY
        REFERENCES principals (name) ON DELETE CASCADE,
    document  TEXT COLLATE "C" NOT NULL
);

CREATE TABLE access_requests (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    principal     TEXT COLLATE "C" NOT NULL,
    principal_arn TEXT COLLATE "C" NOT NULL,
    reason        TEXT COLLATE "C" NOT NULL,
    targets       TEXT COLLATE "C" NOT NULL,
    tags          TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('Approved', 'Rejected', 'Revoked', 'Pending')),
    decided_by    TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    principal_id  TEXT COLLATE "C" NOT NULL DEFAULT '',
    kind          TEXT COLLATE "C" NOT NULL DEFAULT 'Manual',
    policy        TEXT COLLATE "C" NOT NULL DEFAULT '',
    levels        TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    windows       TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    most_minutes  BIGINT NOT NULL DEFAULT 720,
    minutes       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX access_requests_by_time ON access_requests (created_at, id);
CREATE INDEX access_requests_by_principal ON access_requests (principal, status);

CREATE TABLE log_heads (
    device_id TEXT COLLATE "C" NOT NULL,
    boot      BYTEA NOT NULL,
    next      BIGINT NOT NULL,
    closed    BOOLEAN NOT NULL,
    heard_at  BIGINT NOT NULL,
    PRIMARY KEY (device_id, boot)
);

CREATE TABLE command_log (
    id         BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    device_id  TEXT COLLATE "C" NOT NULL,
    boot       BYTEA NOT NULL,
    number     BIGINT NOT NULL,
    covers     BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL
        CHECK (kind IN ('agent', 'begin', 'exec', 'exit', 'line', 'end', 'gap')),
    session    TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    stored_at  BIGINT NOT NULL,
    pid        BIGINT,
    parent     BIGINT,
    uid        BIGINT,
    arguments  BYTEA,
    cut        BOOLEAN NOT NULL,
    directory  BYTEA,
    code       BIGINT,
    signal     BIGINT,
    lasted_ms  BIGINT,
    detail     TEXT COLLATE "C" NOT NULL,
    exe_path   BYTEA,
    exe_device BIGINT,
    exe_inode  BIGINT,
    exe_origin TEXT COLLATE "C",
    UNIQUE (device_id, boot, number)
);
CREATE INDEX command_log_by_session ON command_log (session, id);
CREATE INDEX command_log_by_process ON command_log (device_id, boot, pid, number);
CREATE INDEX command_log_by_device ON command_log (device_id, id);

CREATE TABLE commands (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    document          TEXT COLLATE "C" NOT NULL,
    document_version  TEXT COLLATE "C" NOT NULL,
    comment           TEXT COLLATE "C" NOT NULL DEFAULT '',
    parameters        TEXT COLLATE "C" NOT NULL,
    instance_ids      TEXT COLLATE "C" NOT NULL,
    targets           TEXT COLLATE "C" NOT NULL,
    principal_arn     TEXT COLLATE "C" NOT NULL,
    run_as            TEXT COLLATE "C" NOT NULL DEFAULT '',
    max_concurrency   TEXT COLLATE "C" NOT NULL,
    max_errors        TEXT COLLATE "C" NOT NULL,
    plan              TEXT COLLATE "C" NOT NULL,
    output            TEXT COLLATE "C" NOT NULL,
    timeout_s         BIGINT NOT NULL,
    requested_at      BIGINT NOT NULL,
    deliver_by        BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    status            TEXT COLLATE "C" NOT NULL,
    details           TEXT COLLATE "C" NOT NULL,
    target_count      BIGINT NOT NULL,
    completed_count   BIGINT NOT NULL DEFAULT 0,
    error_count       BIGINT NOT NULL DEFAULT 0,
    undelivered_count BIGINT NOT NULL DEFAULT 0,
    ended_at          BIGINT
);
CREATE INDEX commands_by_request ON commands (requested_at, id);
CREATE INDEX commands_open ON commands (id)
    WHERE ended_at IS NULL;

CREATE TABLE command_invocations (
    command_id   TEXT COLLATE "C" NOT NULL
        REFERENCES commands (id) ON DELETE CASCADE,
    device_id    TEXT COLLATE "C" NOT NULL,
    requested_at BIGINT NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    details      TEXT COLLATE "C" NOT NULL,
    reason       TEXT COLLATE "C" NOT NULL DEFAULT '',
    step         BIGINT NOT NULL DEFAULT 0,
    given_to     BYTEA NOT NULL,
    steps        TEXT COLLATE "C" NOT NULL,
    ended_at     BIGINT,
    PRIMARY KEY (command_id, device_id)
);
CREATE INDEX command_invocations_by_request ON command_invocations (requested_at, command_id, device_id);
CREATE INDEX command_invocations_by_device ON command_invocations (device_id, requested_at);
CREATE INDEX command_invocations_open ON command_invocations (command_id)
    WHERE ended_at IS NULL;

CREATE TABLE command_outputs (
    command_id TEXT COLLATE "C" NOT NULL
        REFERENCES commands (id) ON DELETE CASCADE,
    device_id  TEXT COLLATE "C" NOT NULL,
    step       BIGINT NOT NULL,
    stdout     BYTEA NOT NULL,
    stderr     BYTEA NOT NULL,
    PRIMARY KEY (command_id, device_id, step)
);

CREATE TABLE seen_requests (
    signature BYTEA NOT NULL PRIMARY KEY,
    forget_at BIGINT NOT NULL
);
CREATE INDEX seen_requests_by_end ON seen_requests (forget_at);

CREATE TABLE access_approvals (
    request_id  TEXT COLLATE "C" NOT NULL
        REFERENCES access_requests (id) ON DELETE CASCADE,
    person_id   TEXT COLLATE "C" NOT NULL,
    arn         TEXT COLLATE "C" NOT NULL,
    level       BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, person_id)
);

CREATE TABLE documents (
    name            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind            TEXT COLLATE "C" NOT NULL
        CHECK (kind IN ('Session', 'Command', 'ManualApprovalPolicy', 'AutoApprovalPolicy')),
    target_type     TEXT COLLATE "C" NOT NULL DEFAULT '',
    default_version BIGINT NOT NULL,
    numbers_given   BIGINT NOT NULL,
    unique_id       TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE document_versions (
    name           TEXT COLLATE "C" NOT NULL
        REFERENCES documents (name) ON DELETE CASCADE,
    version        BIGINT NOT NULL,
    version_name   TEXT COLLATE "C" NOT NULL DEFAULT '',
    display_name   TEXT COLLATE "C" NOT NULL DEFAULT '',
    format         TEXT COLLATE "C" NOT NULL
        CHECK (format IN ('JSON', 'YAML')),
    content        TEXT COLLATE "C" NOT NULL,
    hash           TEXT COLLATE "C" NOT NULL,
    schema_version TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX document_versions_by_name ON document_versions (name, version_name)
    WHERE version_name <> '';
CREATE UNIQUE INDEX document_versions_by_hash ON document_versions (name, hash);

CREATE TABLE webhooks (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    unique_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    host       TEXT COLLATE "C" NOT NULL,
    format     TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE notifications (
    webhook_id TEXT COLLATE "C" NOT NULL
        REFERENCES webhooks (unique_id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL
        CHECK (state IN ('Waiting', 'Dead')),
    attempts   BIGINT NOT NULL,
    error      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, position)
);
CREATE INDEX notifications_by_state ON notifications (state, webhook_id, position);

CREATE TABLE second_factors (
    principal     TEXT COLLATE "C" NOT NULL PRIMARY KEY
        REFERENCES principals (name) ON DELETE CASCADE,
    unique_id     TEXT COLLATE "C" NOT NULL,
    sealed        BYTEA NOT NULL,
    enabled       BIGINT NOT NULL,
    last_step     BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE TABLE identity_providers (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    unique_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    issuer     TEXT COLLATE "C" NOT NULL UNIQUE,
    settings   TEXT COLLATE "C" NOT NULL,
    secret     BYTEA,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE federated_people (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    provider_id TEXT COLLATE "C" NOT NULL
        REFERENCES identity_providers (unique_id) ON DELETE CASCADE,
    subject     TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    blocked     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,
    UNIQUE (provider_id, subject)
);
CREATE INDEX federated_people_by_use ON federated_people (used_at);

CREATE TABLE sign_ins (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    access_key TEXT COLLATE "C"
        REFERENCES access_keys (id) ON DELETE CASCADE,
    person_id  TEXT COLLATE "C"
        REFERENCES federated_people (id) ON DELETE CASCADE,
    token      BYTEA,
    source_ip  TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_key ON sign_ins (access_key, created_at);
CREATE INDEX sign_ins_by_person ON sign_ins (person_id, created_at);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);

CREATE TABLE renewals (
    digest     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person_id  TEXT COLLATE "C" NOT NULL
        REFERENCES federated_people (id) ON DELETE CASCADE,
    sealed     BYTEA NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX renewals_by_person ON renewals (person_id, created_at);
CREATE INDEX renewals_by_end ON renewals (expires_at);

CREATE TABLE device_search (
    id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    text TEXT COLLATE "C" NOT NULL
);
