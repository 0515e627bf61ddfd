-- What policy judged a session by when it was started, as JSON: who joins it is judged by the same.
-- Empty: of an older version.
ALTER TABLE sessions ADD COLUMN start_facts TEXT NOT NULL DEFAULT '';
-- The tags (JSON) and the agent of devices that were removed: what policies say of their commands
-- goes on to hold.
CREATE TABLE removed_devices (
    id         TEXT   NOT NULL PRIMARY KEY,
    tags       TEXT   NOT NULL,
    agent_kind TEXT   NOT NULL,
    kept_until BIGINT NOT NULL
);
CREATE INDEX removed_devices_by_time ON removed_devices (kept_until);
