-- What an access request needs before it is approved: levels as JSON, as the policy said when the request was made.
-- An empty list is one approval by anybody with the right to decide, as before there were policies.
ALTER TABLE access_requests ADD COLUMN kind TEXT NOT NULL DEFAULT 'Manual';
ALTER TABLE access_requests ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE access_requests ADD COLUMN levels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE access_requests ADD COLUMN windows TEXT NOT NULL DEFAULT '[]';
ALTER TABLE access_requests ADD COLUMN most_minutes BIGINT NOT NULL DEFAULT 720;

-- Minutes that were agreed so far: the least of what the approvers gave. 0: nobody has approved.
ALTER TABLE access_requests ADD COLUMN minutes BIGINT NOT NULL DEFAULT 0;

-- The approvals of a request. One person counts once, in whatever role.
CREATE TABLE access_approvals (
    request_id  TEXT   NOT NULL REFERENCES access_requests (id) ON DELETE CASCADE,
    person_id   TEXT   NOT NULL,
    arn         TEXT   NOT NULL,
    level       BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (request_id, person_id)
);

-- Documents of two more kinds. A check cannot be changed in place: both tables are written anew.
CREATE TABLE documents_2 (
    name            TEXT   NOT NULL PRIMARY KEY,
    kind            TEXT   NOT NULL CHECK (kind IN ('Session', 'Command', 'ManualApprovalPolicy', 'AutoApprovalPolicy')),
    target_type     TEXT   NOT NULL DEFAULT '',
    default_version BIGINT NOT NULL,
    numbers_given   BIGINT NOT NULL,
    unique_id       TEXT   NOT NULL DEFAULT ''
);
INSERT INTO documents_2 (name, kind, target_type, default_version, numbers_given, unique_id)
    SELECT name, kind, target_type, default_version, numbers_given, unique_id FROM documents;

CREATE TABLE document_versions_2 (
    name           TEXT   NOT NULL REFERENCES documents_2 (name) ON DELETE CASCADE,
    version        BIGINT NOT NULL,
    version_name   TEXT   NOT NULL DEFAULT '',
    display_name   TEXT   NOT NULL DEFAULT '',
    format         TEXT   NOT NULL CHECK (format IN ('JSON', 'YAML')),
    content        TEXT   NOT NULL,
    hash           TEXT   NOT NULL,
    schema_version TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
INSERT INTO document_versions_2 (name, version, version_name, display_name, format, content, hash, schema_version, created_at)
    SELECT name, version, version_name, display_name, format, content, hash, schema_version, created_at FROM document_versions;

DROP TABLE document_versions;
DROP TABLE documents;
ALTER TABLE documents_2 RENAME TO documents;
ALTER TABLE document_versions_2 RENAME TO document_versions;
CREATE UNIQUE INDEX document_versions_by_name ON document_versions (name, version_name) WHERE version_name <> '';
CREATE UNIQUE INDEX document_versions_by_hash ON document_versions (name, hash);
