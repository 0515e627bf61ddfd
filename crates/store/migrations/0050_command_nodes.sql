-- Run Command over several gateways. version: counts changes of a command and of its invocations, so that
-- another gateway reads what is new. cancelled: somebody wants it stopped.
ALTER TABLE commands ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE commands ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
-- node: who carries the present step, or had the last one; empty: nobody, or a gateway that works alone.
-- active: 1 while it counts against MaxConcurrency.
ALTER TABLE command_invocations ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE command_invocations ADD COLUMN active BIGINT NOT NULL DEFAULT 0;
ALTER TABLE command_invocations ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE command_invocations ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX command_invocations_active ON command_invocations (command_id) WHERE active = 1;
CREATE INDEX command_invocations_failed ON command_invocations (command_id)
    WHERE ended_at IS NOT NULL AND status IN ('Failed', 'TimedOut');
CREATE INDEX command_invocations_open_by_device ON command_invocations (device_id) WHERE ended_at IS NULL;
CREATE INDEX command_invocations_open_by_node ON command_invocations (node) WHERE ended_at IS NULL;
-- Output of a step that runs, as far as the device was told that it is kept. Gone when the step has ended.
CREATE TABLE command_output_pieces (
    command_id TEXT   NOT NULL REFERENCES commands (id) ON DELETE CASCADE,
    device_id  TEXT   NOT NULL,
    step       BIGINT NOT NULL,
    lane       BIGINT NOT NULL,
    start      BIGINT NOT NULL,
    bytes      BLOB   NOT NULL,
    PRIMARY KEY (command_id, device_id, step, lane, start)
);
