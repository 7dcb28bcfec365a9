-- Neither decides access, so neither changes the revision.

-- Public datasets on which an operator revoked a person's 'view': accepting other terms does not give it back.
CREATE TABLE withdrawals (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  dataset_id   INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  withdrawn    TEXT NOT NULL CHECK (withdrawn GLOB '????-??-??T??:??:??.??????Z'),
  withdrawn_by TEXT NOT NULL,
  PRIMARY KEY (principal_id, dataset_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX withdrawals_dataset ON withdrawals (dataset_id);

-- The ids of the terms that the person postponed for the duration of this login.
ALTER TABLE tokens ADD COLUMN postponed TEXT NOT NULL DEFAULT '';
