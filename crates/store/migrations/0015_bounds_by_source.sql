-- The audit trail: rows of strangers have a bound of their own, and rows are read in the order of time.
ALTER TABLE audit ADD COLUMN stranger BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX audit_by_kind ON audit (stranger, id);
CREATE INDEX audit_in_order ON audit (at, id);
DROP INDEX audit_by_time;

-- The command log: each device has its share of the rows.
CREATE INDEX command_log_by_device ON command_log (device_id, id);
