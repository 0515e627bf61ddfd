-- What the agent of a device was built for, as it says itself; empty until it says so.
ALTER TABLE devices ADD COLUMN target TEXT NOT NULL DEFAULT '';
