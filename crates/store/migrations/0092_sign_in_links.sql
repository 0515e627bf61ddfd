-- Links of the server that sign a browser in once, by the digest of their secret: any gateway takes them. They are void
-- when the gateway that made them, `node`, is started again or declared dead.
CREATE TABLE sign_in_links (
    digest     TEXT   NOT NULL PRIMARY KEY,
    access_key TEXT   NOT NULL,
    node       TEXT   NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE INDEX sign_in_links_by_node ON sign_in_links (node, ends_at);
