-- The request for access that permits a session; empty for other sessions, and for those of older versions.
ALTER TABLE sessions ADD COLUMN access_request TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_alive_by_access ON sessions (access_request) WHERE ended_at IS NULL AND access_request <> '';

-- Approvals of an extension, until there are enough of them.
CREATE TABLE access_extensions (
    request_id  TEXT   NOT NULL REFERENCES access_requests (id) ON DELETE CASCADE,
    person_id   TEXT   NOT NULL,
    arn         TEXT   NOT NULL,
    level       BIGINT NOT NULL,
    minutes     BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, person_id)
);
