-- Which agent a device runs: 'towline' or 'vendor' (amazon-ssm-agent), and the kind of system that
-- it reports.
ALTER TABLE devices ADD COLUMN agent_kind TEXT NOT NULL DEFAULT 'towline';
ALTER TABLE devices ADD COLUMN platform_type TEXT NOT NULL DEFAULT 'Linux';
-- The fingerprint of the machine in the registration of amazon-ssm-agent; empty for other agents.
ALTER TABLE devices ADD COLUMN machine TEXT NOT NULL DEFAULT '';
CREATE INDEX devices_by_machine ON devices (machine);
