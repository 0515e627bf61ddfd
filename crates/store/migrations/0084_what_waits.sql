-- For how many minutes each approver gave access: what an approval that counts no more gave holds no more.
-- 0: of an older version; then what stands at the request holds.
ALTER TABLE access_approvals ADD COLUMN minutes INTEGER NOT NULL DEFAULT 0;
-- The provider that a program without a browser asked for, by its id: with it the wait ends. Empty: any provider.
ALTER TABLE sign_in_requests ADD COLUMN provider TEXT NOT NULL DEFAULT '';
