-- What a policy file declared when it was last applied ('dsgctl apply'). --prune removes only what is in this table
-- and no longer in the file.

CREATE TABLE declared (
  kind  TEXT NOT NULL,
  key   TEXT NOT NULL,  -- a JSON list of names
  file  TEXT NOT NULL,  -- the name that the file gives itself
  since TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.??????Z'),
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
