-- As step 89 of SQLite.
ALTER TABLE identity_providers ADD COLUMN own_redirect BIGINT NOT NULL DEFAULT 0;
