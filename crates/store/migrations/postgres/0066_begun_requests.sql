-- As step 66 of SQLite.
CREATE TABLE begun_requests (
    request_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    node       TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    principal  TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    line       TEXT COLLATE "C" NOT NULL
);
