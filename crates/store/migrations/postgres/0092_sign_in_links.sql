-- As step 92 of SQLite.
CREATE TABLE sign_in_links (
    digest     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    access_key TEXT COLLATE "C" NOT NULL,
    node       TEXT COLLATE "C" NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE INDEX sign_in_links_by_node ON sign_in_links (node, ends_at);
