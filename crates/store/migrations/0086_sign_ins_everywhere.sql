-- What is kept between the requests of a sign-in through a provider, for each gateway of several:
-- answers that were taken, and credentials that wait for their program. Both are used once.
CREATE TABLE sign_ins_under_way (
    digest    TEXT   NOT NULL PRIMARY KEY,
    challenge TEXT   NOT NULL,
    sealed    BLOB,
    ends_at   BIGINT NOT NULL
);
CREATE INDEX sign_ins_under_way_by_end ON sign_ins_under_way (ends_at);
-- A provider that an administrator has stopped, and since when its sign-ins hold: those of before the
-- stop are over, also when it is let in again.
ALTER TABLE identity_providers ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity_providers ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
-- How somebody came to approve, and what policy was asked then, as JSON: it is judged again before
-- access is given. Empty: of an older version.
ALTER TABLE access_approvals ADD COLUMN judged TEXT NOT NULL DEFAULT '';
ALTER TABLE access_extensions ADD COLUMN judged TEXT NOT NULL DEFAULT '';
