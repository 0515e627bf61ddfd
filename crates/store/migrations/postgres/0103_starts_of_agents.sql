-- As step 103 of SQLite.
ALTER TABLE devices ADD COLUMN boot BYTEA;
