-- Why a session ended, as a code of the wire (`EndReason::to_code`): programs decide by it. Empty: not ended, or by an older version.
ALTER TABLE sessions ADD COLUMN end_code TEXT NOT NULL DEFAULT '';
