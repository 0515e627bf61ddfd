-- 1: the device is asked for a new key of its own until it has made one.
ALTER TABLE devices ADD COLUMN key_wanted BIGINT NOT NULL DEFAULT 0;
