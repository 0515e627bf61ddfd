-- The part of its recording that is being written: one more for each gateway that went on with the session.
ALTER TABLE sessions ADD COLUMN recording_part BIGINT NOT NULL DEFAULT 1;
