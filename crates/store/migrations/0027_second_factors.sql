-- Second factors of users with access keys (RFC 6238). `last_step` is the time step of the last code that was taken.
CREATE TABLE second_factors (
    principal     TEXT   NOT NULL PRIMARY KEY REFERENCES principals (name) ON DELETE CASCADE,
    unique_id     TEXT   NOT NULL,
    sealed        BLOB   NOT NULL,
    enabled       BIGINT NOT NULL,
    last_step     BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
