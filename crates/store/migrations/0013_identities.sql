-- Names are given again, ids are not. The store fills in the ids of older rows (identity.rs).
ALTER TABLE principals ADD COLUMN unique_id TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN unique_id TEXT NOT NULL DEFAULT '';

-- Id of the requester.
ALTER TABLE access_requests ADD COLUMN principal_id TEXT NOT NULL DEFAULT '';

-- Ids of the owner: of the principal (a user, or the assumed role), and of the user whose access key
-- is behind it. Empty: not known, and then nobody's.
ALTER TABLE sessions ADD COLUMN principal_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN person_id TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_alive_by_person ON sessions (person_id) WHERE ended_at IS NULL;

UPDATE principals SET unique_id = COALESCE((SELECT r.unique_id FROM roles r WHERE r.principal = principals.name), '');
