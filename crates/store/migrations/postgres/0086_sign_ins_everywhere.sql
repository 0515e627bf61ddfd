-- As step 86 of SQLite.
CREATE TABLE sign_ins_under_way (
    digest    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    challenge TEXT COLLATE "C" NOT NULL,
    sealed    BYTEA,
    ends_at   BIGINT NOT NULL
);
CREATE INDEX sign_ins_under_way_by_end ON sign_ins_under_way (ends_at);
ALTER TABLE identity_providers ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE identity_providers ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_approvals ADD COLUMN judged TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE access_extensions ADD COLUMN judged TEXT COLLATE "C" NOT NULL DEFAULT '';
