-- Roles and groups are principals too, under the names `role/NAME` and `group/NAME`: a user's name has no slash.

CREATE TABLE roles (
    principal   TEXT   NOT NULL PRIMARY KEY REFERENCES principals (name) ON DELETE CASCADE,
    unique_id   TEXT   NOT NULL,
    trust       TEXT   NOT NULL,
    max_seconds BIGINT NOT NULL
);

CREATE TABLE group_members (
    group_name TEXT NOT NULL REFERENCES principals (name) ON DELETE CASCADE,
    member     TEXT NOT NULL REFERENCES principals (name) ON DELETE CASCADE,
    PRIMARY KEY (group_name, member)
);
CREATE INDEX group_members_by_member ON group_members (member);

CREATE TABLE boundaries (
    principal TEXT NOT NULL PRIMARY KEY REFERENCES principals (name) ON DELETE CASCADE,
    document  TEXT NOT NULL
);

-- Requests for access for a time. `expires_at`: until when a decision may be made, then until when it holds.
CREATE TABLE access_requests (
    id            TEXT   NOT NULL PRIMARY KEY,
    principal     TEXT   NOT NULL,
    principal_arn TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    targets       TEXT   NOT NULL,
    tags          TEXT   NOT NULL,
    status        TEXT   NOT NULL CHECK (status IN ('Approved', 'Rejected', 'Revoked', 'Pending')),
    decided_by    TEXT   NOT NULL DEFAULT '',
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX access_requests_by_time ON access_requests (created_at, id);
CREATE INDEX access_requests_by_principal ON access_requests (principal, status);

-- How a session came to be (`JustInTime` by an approved request), and what its data channel calls it after a restart.
ALTER TABLE sessions ADD COLUMN access_type TEXT NOT NULL DEFAULT 'Standard';
ALTER TABLE sessions ADD COLUMN session_type TEXT NOT NULL DEFAULT '';
