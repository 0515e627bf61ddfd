-- What the kernel executed in a process, whatever its arguments say: path, number of the file system and of the file
-- (the bits of an unsigned number), and 'file', 'deleted' or 'memory'.
ALTER TABLE command_log ADD COLUMN exe_path BLOB;
ALTER TABLE command_log ADD COLUMN exe_device BIGINT;
ALTER TABLE command_log ADD COLUMN exe_inode BIGINT;
ALTER TABLE command_log ADD COLUMN exe_origin TEXT;
