-- A sign-in by temporary credentials, or through an identity provider, holds them sealed in `token`.
-- It ends with the access key or the person that they began with: one of the two is set.
CREATE TABLE sign_ins_of_all (
    id         TEXT   NOT NULL PRIMARY KEY,
    access_key TEXT   REFERENCES access_keys (id) ON DELETE CASCADE,
    person_id  TEXT   REFERENCES federated_people (id) ON DELETE CASCADE,
    token      BLOB,
    source_ip  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
INSERT INTO sign_ins_of_all (id, access_key, source_ip, created_at, used_at, expires_at)
    SELECT id, access_key, source_ip, created_at, used_at, expires_at FROM sign_ins;
DROP TABLE sign_ins;
ALTER TABLE sign_ins_of_all RENAME TO sign_ins;
CREATE INDEX sign_ins_by_key ON sign_ins (access_key, created_at);
CREATE INDEX sign_ins_by_person ON sign_ins (person_id, created_at);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);
