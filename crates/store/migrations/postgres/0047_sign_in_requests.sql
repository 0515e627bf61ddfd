-- As step 47 of SQLite.
CREATE TABLE sign_in_requests (
    digest    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_code TEXT COLLATE "C" NOT NULL,
    challenge TEXT COLLATE "C" NOT NULL,
    source_ip TEXT COLLATE "C" NOT NULL,
    subscriber TEXT COLLATE "C" NOT NULL,
    client    TEXT COLLATE "C" NOT NULL,
    role      TEXT COLLATE "C",
    decision  TEXT COLLATE "C" NOT NULL DEFAULT ''
        CHECK (decision IN ('', 'Approve', 'Reject')),
    sealed    BYTEA,
    asked_at  BIGINT NOT NULL,
    ends_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX sign_in_requests_by_code ON sign_in_requests (user_code);
CREATE INDEX sign_in_requests_by_end ON sign_in_requests (ends_at);
