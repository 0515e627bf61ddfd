-- Signatures of requests that changed something: each is taken once, also after a restart. Times are seconds since the epoch.
CREATE TABLE seen_requests (
    signature BLOB   NOT NULL PRIMARY KEY,
    forget_at BIGINT NOT NULL
);
CREATE INDEX seen_requests_by_end ON seen_requests (forget_at);
