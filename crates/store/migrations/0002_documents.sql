-- Session and command documents with their versions. The tags of a document hang on its name (kind 'document').

CREATE TABLE documents (
    name            TEXT   NOT NULL PRIMARY KEY,
    kind            TEXT   NOT NULL CHECK (kind IN ('Session', 'Command')),
    target_type     TEXT   NOT NULL DEFAULT '',
    default_version BIGINT NOT NULL,
    numbers_given   BIGINT NOT NULL
);

CREATE TABLE document_versions (
    name           TEXT   NOT NULL REFERENCES documents (name) ON DELETE CASCADE,
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
CREATE UNIQUE INDEX document_versions_by_name ON document_versions (name, version_name) WHERE version_name <> '';
CREATE UNIQUE INDEX document_versions_by_hash ON document_versions (name, hash);
