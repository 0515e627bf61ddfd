-- What another gateway wants ended, and could not tell the one that carries it: the sentence of the end. Empty: nothing.
ALTER TABLE sessions ADD COLUMN end_wanted TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_by_wanted_end ON sessions (node) WHERE end_wanted <> '' AND ended_at IS NULL;
CREATE INDEX devices_in_quarantine ON devices (id) WHERE status = 'quarantined';
