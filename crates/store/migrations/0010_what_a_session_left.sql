-- What a session left: programs that it executed as far as the device's kernel was heard (NULL: nothing was heard of it), and the
-- bytes of its recording once that is over (NULL: it is not over, there is none, or it is from before).
ALTER TABLE sessions ADD COLUMN commands BIGINT;
ALTER TABLE sessions ADD COLUMN recording_bytes BIGINT;
UPDATE sessions SET commands = (SELECT SUM(c.kind = 'exec') FROM command_log c
    WHERE c.session = sessions.id AND (c.kind = 'exec' OR (c.kind = 'begin' AND c.detail NOT LIKE 'off%')));
