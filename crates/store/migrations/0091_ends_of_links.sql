-- 1: the device may not be connected any more: it was removed or quarantined, or lost a key. The gateway that holds the
-- link looks for these alone. Another link of a device that may be connected is not ended.
ALTER TABLE presence ADD COLUMN end_wanted BIGINT NOT NULL DEFAULT 0;
UPDATE presence SET end_wanted = 1 WHERE EXISTS (SELECT 1 FROM removed_devices r WHERE r.id = presence.device_id)
    OR EXISTS (SELECT 1 FROM devices d WHERE d.id = presence.device_id AND d.status IN ('quarantined', 'revoked'));
CREATE INDEX presence_by_wanted_end ON presence (node) WHERE end_wanted = 1;
