-- As step 98 of SQLite.
ALTER TABLE sessions ADD COLUMN end_code TEXT COLLATE "C" NOT NULL DEFAULT '';
