-- Run Command: what was sent, what became of it on each device, and the beginnings of the output.

CREATE TABLE commands (
    id                TEXT   NOT NULL PRIMARY KEY,
    document          TEXT   NOT NULL,
    document_version  TEXT   NOT NULL,
    comment           TEXT   NOT NULL DEFAULT '',
    parameters        TEXT   NOT NULL,
    instance_ids      TEXT   NOT NULL,
    targets           TEXT   NOT NULL,
    principal_arn     TEXT   NOT NULL,
    run_as            TEXT   NOT NULL DEFAULT '',
    max_concurrency   TEXT   NOT NULL,
    max_errors        TEXT   NOT NULL,
    plan              TEXT   NOT NULL,
    output            TEXT   NOT NULL,
    timeout_s         BIGINT NOT NULL,
    requested_at      BIGINT NOT NULL,
    deliver_by        BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    status            TEXT   NOT NULL,
    details           TEXT   NOT NULL,
    target_count      BIGINT NOT NULL,
    completed_count   BIGINT NOT NULL DEFAULT 0,
    error_count       BIGINT NOT NULL DEFAULT 0,
    undelivered_count BIGINT NOT NULL DEFAULT 0,
    ended_at          BIGINT
);
CREATE INDEX commands_by_request ON commands (requested_at, id);
CREATE INDEX commands_open ON commands (id) WHERE ended_at IS NULL;

-- given_to: boot nonces of the agent that were given the present step, 16 bytes each. steps: JSON, one object a step.
CREATE TABLE command_invocations (
    command_id   TEXT   NOT NULL REFERENCES commands (id) ON DELETE CASCADE,
    device_id    TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    status       TEXT   NOT NULL,
    details      TEXT   NOT NULL,
    reason       TEXT   NOT NULL DEFAULT '',
    step         BIGINT NOT NULL DEFAULT 0,
    given_to     BLOB   NOT NULL,
    steps        TEXT   NOT NULL,
    ended_at     BIGINT,
    PRIMARY KEY (command_id, device_id)
);
CREATE INDEX command_invocations_by_request ON command_invocations (requested_at, command_id, device_id);
CREATE INDEX command_invocations_by_device ON command_invocations (device_id, requested_at);
CREATE INDEX command_invocations_open ON command_invocations (command_id) WHERE ended_at IS NULL;

CREATE TABLE command_outputs (
    command_id TEXT   NOT NULL REFERENCES commands (id) ON DELETE CASCADE,
    device_id  TEXT   NOT NULL,
    step       BIGINT NOT NULL,
    stdout     BLOB   NOT NULL,
    stderr     BLOB   NOT NULL,
    PRIMARY KEY (command_id, device_id, step)
);
