-- A provider may rename an account: the identity stays (issuer and subject), and its email is another. The last one
-- that a sign-in brought, while it is not the account's own; NULL otherwise.

ALTER TABLE principals ADD COLUMN seen_email TEXT;
CREATE INDEX principals_seen_email ON principals (lower(seen_email)) WHERE seen_email IS NOT NULL;
