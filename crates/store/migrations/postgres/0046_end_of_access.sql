-- As step 46 of SQLite.
ALTER TABLE sessions ADD COLUMN access_request TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sessions_alive_by_access ON sessions (access_request)
    WHERE ended_at IS NULL AND access_request <> '';

CREATE TABLE access_extensions (
    request_id  TEXT COLLATE "C" NOT NULL
        REFERENCES access_requests (id) ON DELETE CASCADE,
    person_id   TEXT COLLATE "C" NOT NULL,
    arn         TEXT COLLATE "C" NOT NULL,
    level       BIGINT NOT NULL,
    minutes     BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, person_id)
);
