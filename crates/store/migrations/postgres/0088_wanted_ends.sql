-- As step 88 of SQLite.
ALTER TABLE sessions ADD COLUMN end_wanted TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sessions_by_wanted_end ON sessions (node) WHERE end_wanted <> '' AND ended_at IS NULL;
CREATE INDEX devices_in_quarantine ON devices (id) WHERE status = 'quarantined';
