-- Who has the seat of a session in place of its owner, as JSON, so that it outlives the gateway. Empty: the owner.
ALTER TABLE sessions ADD COLUMN seat TEXT NOT NULL DEFAULT '';
