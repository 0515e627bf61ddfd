-- Whether the database may have lost what became of an invocation: it was open when another server took the database's place.
ALTER TABLE command_invocations ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;
