-- Buckets that people also read with their own Google accounts, and the members that the gateway added to their
-- policies: it removes no others.

ALTER TABLE buckets ADD COLUMN iam INTEGER NOT NULL DEFAULT 0 CHECK (iam IN (0, 1));

CREATE TABLE iam_members (
  bucket TEXT NOT NULL REFERENCES buckets (name),
  member TEXT NOT NULL CHECK (member = lower(member) AND member LIKE 'user:%'),
  state  TEXT NOT NULL CHECK (state IN ('intended', 'held')),  -- intended: Google has not said that it is done
  since  TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.??????Z'),
  PRIMARY KEY (bucket, member)
) STRICT, WITHOUT ROWID;
