-- Failures of strangers as each gateway of several has counted them, for the others. A teller is one
-- process of a gateway; times are the gateways', in milliseconds.
CREATE TABLE failures (
    kind    TEXT COLLATE "C" NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    teller  TEXT COLLATE "C" NOT NULL,
    number  BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (kind, source, teller)
);
CREATE INDEX failures_by_end ON failures (ends_at);
