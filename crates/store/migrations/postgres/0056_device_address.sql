-- Where devices reach a node; empty: only by the addresses that they know.
ALTER TABLE nodes ADD COLUMN device_address TEXT COLLATE "C" NOT NULL DEFAULT '';
