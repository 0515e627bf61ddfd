-- The start of its agent that connected last; NULL: not known, or it is no agent of our own.
ALTER TABLE devices ADD COLUMN boot BLOB;
