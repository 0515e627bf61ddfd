-- As step 84 of SQLite.
ALTER TABLE access_approvals ADD COLUMN minutes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sign_in_requests ADD COLUMN provider TEXT COLLATE "C" NOT NULL DEFAULT '';
