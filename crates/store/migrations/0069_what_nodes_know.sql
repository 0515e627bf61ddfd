-- The newest step of the schema that the program of a node knows; 0: it is of before this step.
ALTER TABLE nodes ADD COLUMN knows BIGINT NOT NULL DEFAULT 0;
