-- As step 85 of SQLite.
ALTER TABLE sessions ADD COLUMN start_facts TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE TABLE removed_devices (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tags       TEXT COLLATE "C" NOT NULL,
    agent_kind TEXT COLLATE "C" NOT NULL,
    kept_until BIGINT NOT NULL
);
CREATE INDEX removed_devices_by_time ON removed_devices (kept_until);
