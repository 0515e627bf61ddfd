-- As step 83 of SQLite.
ALTER TABLE command_invocations ADD COLUMN doubted BIGINT NOT NULL DEFAULT 0;
