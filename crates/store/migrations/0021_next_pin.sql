-- Which statement about the server's next key a device has confirmed: its time, ms. 0: none.
ALTER TABLE devices ADD COLUMN next_pin BIGINT NOT NULL DEFAULT 0;
