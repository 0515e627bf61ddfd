-- Sign-ins of programs that a provider renews: its refresh token, sealed. The program has a secret of
-- its own, of which the digest is kept.
CREATE TABLE renewals (
    digest     TEXT   NOT NULL PRIMARY KEY,
    person_id  TEXT   NOT NULL REFERENCES federated_people (id) ON DELETE CASCADE,
    sealed     BLOB   NOT NULL,
    role       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX renewals_by_person ON renewals (person_id, created_at);
CREATE INDEX renewals_by_end ON renewals (expires_at);
