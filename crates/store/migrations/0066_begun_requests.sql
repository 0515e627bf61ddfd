-- Requests that change something, from before they do until their audit line is stored. What a gateway leaves here when it
-- is killed becomes that line: `line` and the columns of `audit`, as they would be if nothing more was known.
CREATE TABLE begun_requests (
    request_id TEXT   NOT NULL PRIMARY KEY,
    node       TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    principal  TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    outcome    TEXT   NOT NULL,
    line       TEXT   NOT NULL
);
