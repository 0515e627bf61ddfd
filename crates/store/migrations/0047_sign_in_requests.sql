-- Programs that wait for a person to sign them in by a code. The program's own code is a digest; credentials are
-- sealed.
CREATE TABLE sign_in_requests (
    digest     TEXT   NOT NULL PRIMARY KEY,
    user_code  TEXT   NOT NULL,
    challenge  TEXT   NOT NULL,
    source_ip  TEXT   NOT NULL,
    subscriber TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    role       TEXT,
    decision   TEXT   NOT NULL DEFAULT '' CHECK (decision IN ('', 'Approve', 'Reject')),
    sealed     BLOB,
    asked_at   BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX sign_in_requests_by_code ON sign_in_requests (user_code);
CREATE INDEX sign_in_requests_by_end ON sign_in_requests (ends_at);
