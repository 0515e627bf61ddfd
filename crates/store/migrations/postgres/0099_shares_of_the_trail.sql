-- As step 99 of SQLite.
ALTER TABLE audit ADD COLUMN room BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN whose TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE audit SET room = 3 WHERE stranger = TRUE;
CREATE INDEX audit_by_share ON audit (room, whose, id);
