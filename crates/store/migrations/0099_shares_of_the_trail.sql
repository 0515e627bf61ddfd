-- The audit trail: which room a row is in (0 changes, 1 reads and refusals, 2 devices, 3 strangers), and whose share of that room
-- it takes: the id of a person or a device. Rows of older versions are one share.
ALTER TABLE audit ADD COLUMN room BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN whose TEXT NOT NULL DEFAULT '';
UPDATE audit SET room = 3 WHERE stranger = TRUE;
CREATE INDEX audit_by_share ON audit (room, whose, id);
