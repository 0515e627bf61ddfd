-- 1: the node gives its devices and sessions to the others, and ends then.
ALTER TABLE nodes ADD COLUMN draining BIGINT NOT NULL DEFAULT 0;
