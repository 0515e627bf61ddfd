-- The command log of devices: what their sessions executed. Rows are only added; (device, boot, number) is a record for ever.

-- How far the records of one boot of an agent have come. 'closed': its end was said, or found out.
CREATE TABLE log_heads (
    device_id TEXT    NOT NULL,
    boot      BLOB    NOT NULL,
    next      BIGINT  NOT NULL,
    closed    BOOLEAN NOT NULL,
    heard_at  BIGINT  NOT NULL,
    PRIMARY KEY (device_id, boot)
);

CREATE TABLE command_log (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT    NOT NULL,
    boot      BLOB    NOT NULL,
    number    BIGINT  NOT NULL,
    covers    BIGINT  NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('agent', 'begin', 'exec', 'exit', 'line', 'end', 'gap')),
    session   TEXT    NOT NULL,
    at        BIGINT  NOT NULL,
    stored_at BIGINT  NOT NULL,
    pid       BIGINT,
    parent    BIGINT,
    uid       BIGINT,
    arguments BLOB,
    cut       BOOLEAN NOT NULL,
    directory BLOB,
    code      BIGINT,
    signal    BIGINT,
    lasted_ms BIGINT,
    detail    TEXT    NOT NULL,
    UNIQUE (device_id, boot, number)
);
CREATE INDEX command_log_by_session ON command_log (session, id);
CREATE INDEX command_log_by_process ON command_log (device_id, boot, pid, number);
