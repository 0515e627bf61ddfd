-- As step 76 of SQLite.
ALTER TABLE commands ADD COLUMN person_id TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX commands_by_person ON commands (person_id, requested_at);
