-- As step 90 of SQLite.
ALTER TABLE federated_people ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
