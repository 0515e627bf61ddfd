-- Gateways that work on this store together, each with a lease until `expires_at` by the clock of the
-- database; 0: the lease was declared over. `generation` counts the processes that had the name.
CREATE TABLE nodes (
    name       TEXT   NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    spki       BLOB   NOT NULL,
    address    TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    joined_at  BIGINT NOT NULL
);
-- Which node holds a device's link, and which link of which start of the agent that is.
CREATE TABLE presence (
    device_id  TEXT   NOT NULL PRIMARY KEY,
    node       TEXT   NOT NULL,
    boot       BLOB   NOT NULL,
    connection BIGINT NOT NULL,
    since      BIGINT NOT NULL
);
CREATE INDEX presence_by_node ON presence (node);
-- The node that carries a session; empty where one gateway works alone.
ALTER TABLE sessions ADD COLUMN node TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_alive_by_node ON sessions (node) WHERE ended_at IS NULL;
