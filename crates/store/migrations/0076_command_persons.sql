-- The id of the person who sent a command: what one person may hold of the table is bounded. Empty: of an older version.
ALTER TABLE commands ADD COLUMN person_id TEXT NOT NULL DEFAULT '';
CREATE INDEX commands_by_person ON commands (person_id, requested_at);
