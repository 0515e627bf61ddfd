-- Keys of tags have no letter case: `key_folded` is what towline_policy::fold makes of `key`. The
-- store fills it in for older rows and then makes it unique on each thing (tag_keys.rs).
ALTER TABLE tags ADD COLUMN key_folded TEXT NOT NULL DEFAULT '';
DROP INDEX tags_by_value;
CREATE INDEX tags_by_folded_value ON tags (kind, key_folded, value);

-- Keys of tags that a device may bring to an activation, a JSON list.
ALTER TABLE activations ADD COLUMN device_tag_keys TEXT NOT NULL DEFAULT '[]';
