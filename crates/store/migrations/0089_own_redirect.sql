-- Whether a provider's answers come to an address of its own. Providers of before stay at the shared
-- one: it is what is registered with them.
ALTER TABLE identity_providers ADD COLUMN own_redirect INTEGER NOT NULL DEFAULT 0;
