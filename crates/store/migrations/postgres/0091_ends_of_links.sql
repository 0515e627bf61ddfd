-- As step 91 of SQLite.
ALTER TABLE presence ADD COLUMN end_wanted BIGINT NOT NULL DEFAULT 0;
UPDATE presence SET end_wanted = 1 WHERE EXISTS (SELECT 1 FROM removed_devices r WHERE r.id = presence.device_id)
    OR EXISTS (SELECT 1 FROM devices d WHERE d.id = presence.device_id AND d.status IN ('quarantined', 'revoked'));
CREATE INDEX presence_by_wanted_end ON presence (node) WHERE end_wanted = 1;
