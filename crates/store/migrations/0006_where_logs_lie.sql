-- Where a session's output lies, as it was decided at its start (an OutputUrl as JSON); empty for sessions from before.
ALTER TABLE sessions ADD COLUMN output_url TEXT NOT NULL DEFAULT '';
