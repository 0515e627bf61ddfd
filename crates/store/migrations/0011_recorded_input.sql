-- Whether the input of a session is recorded, as far as it was echoed.
ALTER TABLE sessions ADD COLUMN input_recorded BOOLEAN NOT NULL DEFAULT FALSE;
