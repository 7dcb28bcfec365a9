-- A provider may rename an account: its identity (issuer and subject) stays, and its email changes. This column has
-- the email of the latest sign-in if it differs from that of the account; else NULL.

ALTER TABLE principals ADD COLUMN seen_email TEXT;
CREATE INDEX principals_seen_email ON principals (lower(seen_email)) WHERE seen_email IS NOT NULL;
