-- Since when what somebody was given holds: what a provider's person got before its last block, and what
-- was made with an access key before it was last disabled, is over, also afterwards.
ALTER TABLE federated_people ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN holds_since BIGINT NOT NULL DEFAULT 0;
