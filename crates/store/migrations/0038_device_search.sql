-- What a device is found by: its texts in one, in small letters (device_search.rs). The store fills
-- it in for older rows.
CREATE TABLE device_search (
    id   TEXT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
);

CREATE INDEX devices_by_name ON devices (name);
CREATE INDEX devices_by_hostname ON devices (hostname);

-- With the id at its end the index gives the devices of one tag in the order of a list.
DROP INDEX tags_by_folded_value;
CREATE INDEX tags_by_folded_value ON tags (kind, key_folded, value, id);
