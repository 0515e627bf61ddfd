-- Receivers of notifications. `sealed` holds address and secret.
CREATE TABLE webhooks (
    name       TEXT   NOT NULL PRIMARY KEY,
    unique_id  TEXT   NOT NULL UNIQUE,
    host       TEXT   NOT NULL,
    format     TEXT   NOT NULL,
    sealed     BLOB   NOT NULL,
    created_at BIGINT NOT NULL
);

-- What is still to be sent to each receiver, by position, and what was given up. A row goes when it was received.
CREATE TABLE notifications (
    webhook_id TEXT   NOT NULL REFERENCES webhooks (unique_id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('Waiting', 'Dead')),
    attempts   BIGINT NOT NULL,
    error      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, position)
);
CREATE INDEX notifications_by_state ON notifications (state, webhook_id, position);
